{%- set lists = {'open_events': 'opened_contacts', 'click_events': 'clicked_contacts'} -%}
{%- set streams = zoho_campaigns.loaded(zoho_campaigns.event_streams()) -%}
{{ config(materialized='table', enabled=streams | length > 0) }}

with events as (

  {% for stream in streams %}
  select
    '{{ stream }}' as stream,
    '{{ lists[stream] }}' as list_stream,
    campaign_key,
    parent_campaign_key,
    coalesce(parent_campaign_key, campaign_key) as main_campaign_key,
    contact_email,
    contact_id,
    event_number,
    event_time,
    {{ zoho_campaigns.wall_clock('event_time') }} as event_at_local,
    event_time_utc,
    event_label,
    {{ 'url' if stream == 'click_events' else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as url,
    list_read_at
  from {{ source('zoho_campaigns', stream) }}
  {{ 'union all' if not loop.last }}
  {% endfor %}

){% if zoho_campaigns.has_lists() %}, sent as (

  select
    campaign_key,
    contact_email,
    max(sent_at) as sent_at,
    max(sent_date) as sent_date
  from {{ ref('stg_zoho_campaigns__recipients') }}
  group by campaign_key, contact_email

){% endif %}, read as (

  select
    events.*,
    {% if zoho_campaigns.has_lists() -%}
    sent.sent_at,
    {{ zoho_campaigns.wall_clock('sent.sent_date') }} as sent_at_local,
    contact.list_read_at as contact_read_at,
    contact.is_in_list,
    {%- endif %}
    max(events.list_read_at) over (
      partition by events.stream, events.campaign_key, events.contact_email
    ) as latest_read_at
  from events
  {% if zoho_campaigns.has_lists() -%}
  left join sent
    on sent.campaign_key = events.campaign_key and sent.contact_email = events.contact_email
  left join {{ ref('stg_zoho_campaigns__recipients') }} as contact
    on contact.stream = events.list_stream
    and contact.campaign_key = events.campaign_key
    and contact.contact_email = events.contact_email
  {%- endif %}

)

select
  stream,
  campaign_key,
  parent_campaign_key,
  main_campaign_key,
  contact_email,
  contact_id,
  event_number,
  event_time,
  event_at_local,
  {% if zoho_campaigns.has_lists() -%}
  -- Without account_timezone: as long after the mail was sent as the wall clock says.
  coalesce(event_time_utc, sent_at + (event_at_local - sent_at_local)) as event_at,
  floor({{ zoho_campaigns.seconds_between('sent_at_local', 'event_at_local') }} / 3600) as hours_after_sending,
  {%- else -%}
  event_time_utc as event_at,
  cast(null as double precision) as hours_after_sending,
  {%- endif %}
  event_label,
  url,
  {{ 'coalesce(is_in_list, true)' if zoho_campaigns.has_lists() else 'true' }} as is_in_list,
  list_read_at
from read
-- An event that is older than its contact's latest reading is one that Zoho no longer reports.
where list_read_at >= {{ 'coalesce(contact_read_at, latest_read_at)' if zoho_campaigns.has_lists() else 'latest_read_at' }}
