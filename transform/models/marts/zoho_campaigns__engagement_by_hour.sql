{{ config(
  enabled=zoho_campaigns.has_events()
  and zoho_campaigns.has_lists()
) }}

with events as (

  select
    *,
    row_number() over (
      partition by stream, main_campaign_key, contact_email order by event_at_local, event_number
    ) as number_of_contact
  from {{ ref('stg_zoho_campaigns__events') }}
  where hours_after_sending is not null and is_in_list

)

select
  main_campaign_key as campaign_key,
  cast(hours_after_sending as bigint) as hours_after_sending,
  sum(case when stream = 'open_events' then 1 else 0 end) as opens,
  sum(case when stream = 'open_events' and number_of_contact = 1 then 1 else 0 end) as first_opens,
  sum(case when stream = 'click_events' then 1 else 0 end) as clicks,
  sum(case when stream = 'click_events' and number_of_contact = 1 then 1 else 0 end) as first_clicks
from events
group by 1, 2
