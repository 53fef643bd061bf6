{%- set has_campaigns = zoho_campaigns.is_loaded('campaigns') -%}
{{ config(enabled=zoho_campaigns.has_lists()) }}

with recipients as (

  select
    recipient.*,
    coalesce(recipient.sent_at, {{ 'campaign.sent_at' if has_campaigns else 'null' }}) as received_at
  from {{ ref('zoho_campaigns__campaign_recipients') }} as recipient
  {% if has_campaigns -%}
  left join {{ ref('stg_zoho_campaigns__campaigns') }} as campaign
    on campaign.campaign_key = recipient.campaign_key
  {%- endif %}

), ordered as (

  select
    *,
    row_number() over (partition by contact_email order by received_at desc nulls last, campaign_key) as recency,
    max(case when is_opened then received_at end) over (partition by contact_email) as last_opened_received_at
  from recipients

), today as (

  -- Not the time of this build, so that the same tables give the same models.
  select max(list_read_at) as read_at from {{ ref('stg_zoho_campaigns__recipients') }}

), contacts as (

  select
    contact_email,
    max(contact_id) as contact_id,
    max(case when recency = 1 then first_name end) as first_name,
    max(case when recency = 1 then last_name end) as last_name,
    sum(case when is_sent then 1 else 0 end) as campaigns_sent,
    sum(case when is_opened then 1 else 0 end) as campaigns_opened,
    sum(case when is_clicked then 1 else 0 end) as campaigns_clicked,
    sum(case when bounce_type is not null then 1 else 0 end) as campaigns_bounced,
    sum(opens) as opens,
    sum(clicks) as clicks,
    min(received_at) as first_sent_at,
    max(received_at) as last_sent_at,
    max(last_opened_at) as last_opened_at,
    max(last_clicked_at) as last_clicked_at,
    sum(
      case when is_sent and (last_opened_received_at is null or received_at > last_opened_received_at) then 1 else 0 end
    ) as campaigns_since_last_open,
    bool_or(bounce_type = 'hard') as has_hard_bounced,
    bool_or(is_opted_out) as has_opted_out,
    bool_or(is_complained) as has_complained,
    bool_or(is_forgotten) as is_forgotten
  from ordered
  group by contact_email

)

select
  contact_email,
  contact_id,
  first_name,
  last_name,
  {% for stream, name in [
    ('sent_contacts', 'campaigns_sent'), ('opened_contacts', 'campaigns_opened'), ('clicked_contacts', 'campaigns_clicked'),
  ] -%}
  {{ zoho_campaigns.of_stream(stream, 'cast(' ~ name ~ ' as bigint)', 'bigint') }} as {{ name }},
  {% endfor %}
  cast(campaigns_bounced as bigint) as campaigns_bounced,
  cast(opens as bigint) as opens,
  cast(clicks as bigint) as clicks,
  first_sent_at,
  last_sent_at,
  last_opened_at,
  last_clicked_at,
  cast(floor({{ zoho_campaigns.seconds_between('last_sent_at', 'today.read_at') }} / 86400) as bigint) as days_since_sent,
  cast(floor({{ zoho_campaigns.seconds_between('last_opened_at', 'today.read_at') }} / 86400) as bigint) as days_since_opened,
  cast(floor({{ zoho_campaigns.seconds_between('last_clicked_at', 'today.read_at') }} / 86400) as bigint) as days_since_clicked,
  {% if zoho_campaigns.is_loaded('sent_contacts') and zoho_campaigns.is_loaded('opened_contacts') -%}
  cast(campaigns_since_last_open as bigint)
  {%- else -%}
  cast(null as bigint)
  {%- endif %} as campaigns_since_last_open,
  coalesce(has_hard_bounced, false) as has_hard_bounced,
  has_opted_out,
  has_complained,
  is_forgotten
from contacts
cross join today
