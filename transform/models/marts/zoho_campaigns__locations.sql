{{ config(enabled=zoho_campaigns.is_loaded('campaign_locations')) }}

select
  main_campaign_key as campaign_key,
  location,
  cast(sum(opens) as bigint) as opens,
  max(report_read_at) as report_read_at
from {{ ref('stg_zoho_campaigns__campaign_locations') }}
group by main_campaign_key, location
