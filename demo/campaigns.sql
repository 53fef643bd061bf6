select
  coalesce(regexp_replace(trim(left(campaign_name, 40)), '\s+', ' ', 'g'), '(without a name)')
    || case when is_ab_test then ' (A/B test)' else '' end as campaign,
  sent_at::date as "sent on",
  sent,
  opened,
  clicked,
  hard_bounced + soft_bounced as bounced,
  opted_out as "opted out",
  to_char(100 * open_rate, 'FM990.0') || ' %' as "open rate"
from zoho_campaigns__campaigns
order by sent_at desc
