select
  coalesce(regexp_replace(trim(now.campaign_name), '\s+', ' ', 'g'), '(without a name)') as campaign,
  figure.name as figure,
  figure.before,
  figure.now
from zoho_campaigns__campaigns as now
join demo.campaigns_before as before using (campaign_key)
cross join lateral (values
  (1, 'opened', before.opened, now.opened),
  (2, 'clicked', before.clicked, now.clicked),
  (3, 'opted out', before.opted_out, now.opted_out)
) as figure (position, name, before, now)
where figure.before <> figure.now
order by now.sent_at desc, figure.position
