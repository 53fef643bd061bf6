{%- set counts = {
  'sent': 'sent_contacts', 'opened': 'opened_contacts', 'clicked': 'clicked_contacts',
  'hard_bounced': 'hard_bounce_contacts', 'soft_bounced': 'soft_bounce_contacts',
} -%}
{{ config(
  enabled=zoho_campaigns.is_loaded('campaigns') and zoho_campaigns.has_lists()
) }}

with lists as (

  select
    campaign_key,
    {% for name, stream in counts.items() -%}
    count(distinct case when stream = '{{ stream }}' then contact_email end) as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
  from {{ ref('stg_zoho_campaigns__recipients') }}
  where is_in_list
  group by campaign_key

), variants as (

  select
    variant.parent_campaign_key,
    variant.ab_variant,
    variant.campaign_key,
    variant.subject,
    {% for name, stream in counts.items() -%}
    {{ zoho_campaigns.of_stream(stream, 'coalesce(lists.' ~ name ~ ', 0)', 'bigint') }} as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
  from {{ ref('stg_zoho_campaigns__campaigns') }} as variant
  left join lists on lists.campaign_key = variant.campaign_key
  where variant.ab_variant is not null

), rated as (

  select
    *,
    sent - hard_bounced - soft_bounced as delivered,
    {{ zoho_campaigns.rate('opened', 'sent - hard_bounced - soft_bounced') }} as open_rate,
    {{ zoho_campaigns.rate('clicked', 'sent - hard_bounced - soft_bounced') }} as click_rate
  from variants

)

select
  parent.campaign_key,
  parent.campaign_name,
  parent.sent_at,
  {% for side in ['a', 'b'] -%}
  {{ side }}.campaign_key as {{ side }}_campaign_key,
  {{ side }}.subject as {{ side }}_subject,
  {% for name in ['sent', 'delivered', 'opened', 'clicked', 'open_rate', 'click_rate'] -%}
  {{ side }}.{{ name }} as {{ side }}_{{ name }},
  {% endfor %}
  {%- endfor %}
  b.open_rate - a.open_rate as open_rate_difference,
  b.click_rate - a.click_rate as click_rate_difference,
  case when a.open_rate > b.open_rate then 'a' when b.open_rate > a.open_rate then 'b' end as more_opened,
  case when a.click_rate > b.click_rate then 'a' when b.click_rate > a.click_rate then 'b' end as more_clicked
from {{ ref('stg_zoho_campaigns__campaigns') }} as parent
left join rated as a on a.parent_campaign_key = parent.campaign_key and a.ab_variant = 'a'
left join rated as b on b.parent_campaign_key = parent.campaign_key and b.ab_variant = 'b'
where a.campaign_key is not null or b.campaign_key is not null
