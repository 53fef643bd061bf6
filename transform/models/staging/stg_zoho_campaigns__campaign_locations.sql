{{ config(enabled=zoho_campaigns.is_loaded('campaign_locations')) }}

with locations as (

  select
    *,
    max(report_read_at) over (partition by campaign_key) as latest_read_at
  from {{ source('zoho_campaigns', 'campaign_locations') }}

)

select
  campaign_key,
  coalesce(parent_campaign_key, campaign_key) as main_campaign_key,
  location,
  opens,
  report_read_at
from locations
-- An older row is a place that Zoho no longer names.
where report_read_at = latest_read_at
