{%- set has_reports = zoho_campaigns.is_loaded('campaign_reports') -%}
{%- set counts = {
  'sent': 'sent_contacts',
  'opened': 'opened_contacts',
  'unopened': 'unopened_contacts',
  'clicked': 'clicked_contacts',
  'hard_bounced': 'hard_bounce_contacts',
  'soft_bounced': 'soft_bounce_contacts',
  'opted_out': 'optout_contacts',
  'complained': 'spam_contacts',
  'unsent': 'unsent_contacts',
} -%}
{{ config(enabled=zoho_campaigns.is_loaded('campaigns') and zoho_campaigns.has_lists()) }}

with campaigns as (

  select
    *,
    exists (
      select 1 from {{ ref('stg_zoho_campaigns__campaigns') }} as variant
      where variant.parent_campaign_key = campaign.campaign_key
    ) as is_ab_test
  from {{ ref('stg_zoho_campaigns__campaigns') }} as campaign
  where parent_campaign_key is null

), lists as (

  select
    main_campaign_key,
    {% for name, stream in counts.items() if zoho_campaigns.is_loaded(stream) -%}
    count(distinct case when stream = '{{ stream }}' then contact_email end) as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
  from {{ ref('stg_zoho_campaigns__recipients') }}
  where is_in_list
  group by main_campaign_key

){% if has_reports %}, reports as (

  select
    main_campaign_key,
    max(report_read_at) as report_read_at,
    {% for name in counts -%}
    cast(sum({{ name }}) as bigint) as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
  from {{ ref('stg_zoho_campaigns__campaign_reports') }}
  group by main_campaign_key

){% endif %}, funnel as (

  select
    campaigns.*,
    {% for name, stream in counts.items() -%}
    {{ zoho_campaigns.of_stream(stream, 'coalesce(lists.' ~ name ~ ', 0)', 'bigint') }} as {{ name }},
    {% endfor %}
    {% for name in counts -%}
    {{ zoho_campaigns.of_stream('campaign_reports', 'reports.' ~ name, 'bigint') }} as reported_{{ name }},
    {% endfor %}
    {{ zoho_campaigns.of_stream('campaign_reports', 'reports.report_read_at', 'timestamp') }} as report_read_at
  from campaigns
  left join lists on lists.main_campaign_key = campaigns.campaign_key
  {% if has_reports -%}
  left join reports on reports.main_campaign_key = campaigns.campaign_key
  {%- endif %}

), delivered as (

  select
    *,
    sent - hard_bounced - soft_bounced as delivered
  from funnel

)

select
  campaign_key,
  campaign_name,
  campaign_type,
  campaign_status,
  subject,
  from_email,
  sent_at,
  is_ab_test,
  sent,
  delivered,
  opened,
  unopened,
  clicked,
  hard_bounced,
  soft_bounced,
  opted_out,
  complained,
  unsent,
  {{ zoho_campaigns.rate('delivered', 'sent') }} as delivery_rate,
  {{ zoho_campaigns.rate('opened', 'delivered') }} as open_rate,
  {{ zoho_campaigns.rate('clicked', 'delivered') }} as click_rate,
  {{ zoho_campaigns.rate('clicked', 'opened') }} as click_to_open_rate,
  {{ zoho_campaigns.rate('hard_bounced + soft_bounced', 'sent') }} as bounce_rate,
  {{ zoho_campaigns.rate('opted_out', 'delivered') }} as optout_rate,
  {{ zoho_campaigns.rate('complained', 'delivered') }} as complaint_rate,
  report_read_at,
  {% for name in counts -%}
  reported_{{ name }},
  {% endfor %}
  case when report_read_at is not null then
    {% for name in counts -%}
    coalesce({{ name }} = reported_{{ name }}, true){{ ' and' if not loop.last }}
    {% endfor %}
  end as agrees_with_report
from delivered
