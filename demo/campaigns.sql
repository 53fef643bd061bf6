select
  replace(left(coalesce(c.campaign_name, c.subject, c.campaign_key), 40), e'\n', ' ')
    || case when c.parent_campaign_key is null then '' else ' (test half)' end as campaign,
  c.sent_time_utc::date as "sent on",
  sent.contacts as sent,
  opened.contacts as opened,
  clicked.contacts as clicked,
  hard_bounce.contacts + soft_bounce.contacts as bounced,
  optout.contacts as "opted out"
from campaigns c
cross join lateral (select count(*) as contacts from sent_contacts r where r.campaign_key = c.campaign_key) sent
cross join lateral (select count(*) as contacts from opened_contacts r where r.campaign_key = c.campaign_key) opened
cross join lateral (select count(*) as contacts from clicked_contacts r where r.campaign_key = c.campaign_key) clicked
cross join lateral (select count(*) as contacts from hard_bounce_contacts r where r.campaign_key = c.campaign_key) hard_bounce
cross join lateral (select count(*) as contacts from soft_bounce_contacts r where r.campaign_key = c.campaign_key) soft_bounce
cross join lateral (select count(*) as contacts from optout_contacts r where r.campaign_key = c.campaign_key) optout
order by c.sent_time_utc desc, campaign
