{%- set has_lists = zoho_campaigns.is_loaded('clicked_contacts') -%}
{%- set has_events = zoho_campaigns.is_loaded('click_events') -%}
{{ config(enabled=has_lists or has_events) }}

with {% if has_lists %}counted as (

  select
    coalesce(clicked.parent_campaign_key, clicked.campaign_key) as main_campaign_key,
    clicked.contact_email,
    link.url,
    sum(cast(link.count as bigint)) as clicks
  from {{ source('zoho_campaigns', 'clicked_contacts') }} as clicked
  inner join {{ ref('stg_zoho_campaigns__recipients') }} as recipient
    on recipient.stream = 'clicked_contacts'
    and recipient.campaign_key = clicked.campaign_key
    and recipient.contact_email = clicked.contact_email
    and recipient.is_in_list
  {{ zoho_campaigns.each_object('clicked.url_clicks', 'link', ['url', 'count']) }}
  group by 1, 2, 3

){% endif %}{{ ', ' if has_lists and has_events }}{% if has_events %}events as (

  select
    main_campaign_key,
    contact_email,
    url,
    count(*) as clicks,
    min(event_at) as first_clicked_at,
    max(event_at) as last_clicked_at
  from {{ ref('stg_zoho_campaigns__events') }}
  where stream = 'click_events' and url is not null and is_in_list
  group by 1, 2, 3

){% endif %}, links as (

  {% if has_lists and has_events -%}
  select
    coalesce(counted.main_campaign_key, events.main_campaign_key) as main_campaign_key,
    coalesce(counted.contact_email, events.contact_email) as contact_email,
    coalesce(counted.url, events.url) as url,
    -- Each may lack clicks: Zoho gives counts without times, or times without the links.
    greatest(coalesce(counted.clicks, 0), coalesce(events.clicks, 0)) as clicks,
    events.first_clicked_at,
    events.last_clicked_at
  from counted
  full outer join events
    on events.main_campaign_key = counted.main_campaign_key
    and events.contact_email = counted.contact_email
    and events.url = counted.url
  {%- elif has_lists -%}
  select *, cast(null as timestamp) as first_clicked_at, cast(null as timestamp) as last_clicked_at from counted
  {%- else -%}
  select * from events
  {%- endif %}

)

select
  main_campaign_key as campaign_key,
  url,
  count(distinct contact_email) as contacts,
  cast(sum(clicks) as bigint) as clicks,
  min(first_clicked_at) as first_clicked_at,
  max(last_clicked_at) as last_clicked_at
from links
group by 1, 2
