{{ config(enabled=zoho_campaigns.has_lists()) }}

with recipients as (

  select
    *,
    row_number() over (partition by campaign_key, contact_email order by list_read_at desc, stream) as recency
  from {{ ref('stg_zoho_campaigns__recipients') }}

), contacts as (

  select
    campaign_key,
    max(parent_campaign_key) as parent_campaign_key,
    max(main_campaign_key) as main_campaign_key,
    contact_email,
    max(contact_id) as contact_id,
    max(case when recency = 1 then first_name end) as first_name,
    max(case when recency = 1 then last_name end) as last_name,
    bool_or(is_forgotten) as is_forgotten,
    max(sent_at) as sent_at,
    {{ zoho_campaigns.was_ever_in('sent_contacts') }} as is_sent,
    {{ zoho_campaigns.was_ever_in('opened_contacts') }} as is_opened,
    {{ zoho_campaigns.was_ever_in('clicked_contacts') }} as is_clicked,
    max(clicks) as clicks,
    case
      {% if zoho_campaigns.is_loaded('hard_bounce_contacts') -%}
      when bool_or(stream = 'hard_bounce_contacts') then 'hard'
      {%- endif %}
      when bool_or(stream = 'soft_bounce_contacts') then 'soft'
    end as bounce_type,
    {{ zoho_campaigns.was_ever_in('optout_contacts') }} as is_opted_out,
    {{ zoho_campaigns.was_ever_in('spam_contacts') }} as is_complained,
    {{ zoho_campaigns.was_ever_in('unsent_contacts') }} as is_unsent,
    bool_or(is_in_list) as is_in_list_now
  from recipients
  group by campaign_key, contact_email

){% if zoho_campaigns.has_events() %}, events as (

  select
    campaign_key,
    contact_email,
    sum(case when stream = 'open_events' then 1 else 0 end) as opens,
    min(case when stream = 'open_events' then event_at end) as first_opened_at,
    max(case when stream = 'open_events' then event_at end) as last_opened_at,
    sum(case when stream = 'click_events' then 1 else 0 end) as clicks,
    min(case when stream = 'click_events' then event_at end) as first_clicked_at,
    max(case when stream = 'click_events' then event_at end) as last_clicked_at
  from {{ ref('stg_zoho_campaigns__events') }}
  group by campaign_key, contact_email

){% endif %}

select
  contacts.campaign_key,
  contacts.parent_campaign_key,
  contacts.main_campaign_key,
  contacts.contact_email,
  contacts.contact_id,
  contacts.first_name,
  contacts.last_name,
  contacts.sent_at,
  contacts.is_sent,
  contacts.is_opened,
  {{ zoho_campaigns.of_stream('open_events', 'coalesce(cast(events.opens as bigint), 0)', 'bigint') }} as opens,
  {{ zoho_campaigns.of_stream('open_events', 'events.first_opened_at', 'timestamp') }} as first_opened_at,
  {{ zoho_campaigns.of_stream('open_events', 'events.last_opened_at', 'timestamp') }} as last_opened_at,
  contacts.is_clicked,
  coalesce(
    {{ zoho_campaigns.of_stream('clicked_contacts', 'cast(contacts.clicks as bigint)', 'bigint') }},
    {{ zoho_campaigns.of_stream('click_events', 'cast(events.clicks as bigint)', 'bigint') }}
    {%- if zoho_campaigns.is_loaded('clicked_contacts') or zoho_campaigns.is_loaded('click_events') %}, 0{% endif %}
  ) as clicks,
  {{ zoho_campaigns.of_stream('click_events', 'events.first_clicked_at', 'timestamp') }} as first_clicked_at,
  {{ zoho_campaigns.of_stream('click_events', 'events.last_clicked_at', 'timestamp') }} as last_clicked_at,
  contacts.bounce_type,
  contacts.is_opted_out,
  contacts.is_complained,
  contacts.is_unsent,
  contacts.is_forgotten,
  contacts.is_in_list_now
from contacts
{% if zoho_campaigns.has_events() -%}
left join events
  on events.campaign_key = contacts.campaign_key and events.contact_email = contacts.contact_email
{%- endif %}
