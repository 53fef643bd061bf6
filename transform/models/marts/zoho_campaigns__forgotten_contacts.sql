{%- set streams = zoho_campaigns.loaded(zoho_campaigns.list_streams() + zoho_campaigns.event_streams()) -%}
{{ config(materialized='view', enabled=streams | length > 0) }}

with rows_of_contacts as (

  {% for stream in streams %}
  select distinct
    '{{ stream }}' as stream,
    campaign_key,
    contact_email,
    contact_id,
    {{ 'coalesce(is_forgotten, false)' if stream.endswith('_contacts') else 'false' }} as is_forgotten,
    {{ zoho_campaigns.is_placeholder('contact_email') }} as has_no_address
  from {{ source('zoho_campaigns', stream) }}
  {{ 'union all' if not loop.last }}
  {% endfor %}

), forgotten as (

  select distinct contact_id
  from rows_of_contacts
  where (is_forgotten or has_no_address) and contact_id is not null

), addresses as (

  select
    rows_of_contacts.contact_email,
    max(forgotten.contact_id) as contact_id,
    -- The address may be in use again, by a contact who has not asked for anything.
    bool_or(rows_of_contacts.contact_id is not null and forgotten.contact_id is null and not is_forgotten) as is_in_use
  from rows_of_contacts
  left join forgotten on forgotten.contact_id = rows_of_contacts.contact_id
  where not has_no_address
  group by rows_of_contacts.contact_email
  having bool_or(forgotten.contact_id is not null or is_forgotten)

)

select distinct
  rows_of_contacts.stream,
  rows_of_contacts.campaign_key,
  rows_of_contacts.contact_email,
  coalesce(rows_of_contacts.contact_id, addresses.contact_id) as contact_id
from rows_of_contacts
left join forgotten on forgotten.contact_id = rows_of_contacts.contact_id
left join addresses on addresses.contact_email = rows_of_contacts.contact_email
where
  not has_no_address
  and (
    forgotten.contact_id is not null
    or is_forgotten
    or (rows_of_contacts.contact_id is null and addresses.contact_email is not null and not addresses.is_in_use)
  )
