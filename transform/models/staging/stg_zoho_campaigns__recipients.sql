{%- set streams = zoho_campaigns.loaded(zoho_campaigns.list_streams()) -%}
{{ config(materialized='table', enabled=streams | length > 0) }}

with lists as (

  {% for stream in streams %}
  select
    '{{ stream }}' as stream,
    campaign_key,
    parent_campaign_key,
    coalesce(parent_campaign_key, campaign_key) as main_campaign_key,
    action,
    contact_email,
    contact_id,
    first_name,
    last_name,
    country,
    city,
    sent_time_utc as sent_at,
    sent_date,
    coalesce(is_forgotten, false) or {{ zoho_campaigns.is_placeholder('contact_email') }} as is_forgotten,
    {{ 'click_count' if stream == 'clicked_contacts' else 'cast(null as bigint)' }} as clicks,
    list_read_at
  from {{ source('zoho_campaigns', stream) }}
  {{ 'union all' if not loop.last }}
  {% endfor %}

), latest as (

  select
    *,
    max(list_read_at) over (partition by stream, campaign_key) as latest_read_at
  from lists

)

select
  latest.stream,
  latest.campaign_key,
  latest.parent_campaign_key,
  latest.main_campaign_key,
  latest.contact_email,
  latest.contact_id,
  latest.first_name,
  latest.last_name,
  latest.country,
  latest.city,
  latest.sent_at,
  latest.sent_date,
  latest.is_forgotten,
  latest.clicks,
  latest.list_read_at,
  {% if zoho_campaigns.is_loaded('list_readings') -%}
  latest.list_read_at >= coalesce(reading.list_read_at, latest.latest_read_at) as is_in_list
from latest
left join {{ source('zoho_campaigns', 'list_readings') }} as reading
  on reading.campaign_key = latest.campaign_key and reading.action = latest.action
  {%- else -%}
  latest.list_read_at >= latest.latest_read_at as is_in_list
from latest
  {%- endif %}
