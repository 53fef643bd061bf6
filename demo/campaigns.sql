select
  coalesce(replace(left(c.campaign_name, 40), e'\n', ' '), '(without a name)')
    || case when c.parent_campaign_key is null then '' else ' (A/B variant)' end as campaign,
  coalesce(parent.sent_time_utc, c.sent_time_utc)::date as "sent on",
  (select count(*) from sent_contacts r where r.campaign_key = c.campaign_key) as sent,
  (select count(*) from opened_contacts r where r.campaign_key = c.campaign_key) as opened,
  (select count(*) from clicked_contacts r where r.campaign_key = c.campaign_key) as clicked,
  (select count(*) from hard_bounce_contacts r where r.campaign_key = c.campaign_key)
    + (select count(*) from soft_bounce_contacts r where r.campaign_key = c.campaign_key) as bounced,
  (select count(*) from optout_contacts r where r.campaign_key = c.campaign_key) as "opted out"
from campaigns c
left join campaigns parent on parent.campaign_key = c.parent_campaign_key
order by "sent on" desc, coalesce(c.parent_campaign_key, c.campaign_key), c.parent_campaign_key nulls first
