{{ config(enabled=zoho_campaigns.is_loaded('campaigns')) }}

select
  campaign_key,
  parent_campaign_key,
  coalesce(parent_campaign_key, campaign_key) as main_campaign_key,
  ab_variant,
  campaign_name,
  campaign_type,
  campaign_status,
  subject,
  from_email,
  sent_time_utc as sent_at,
  created_time_utc as created_at,
  sent_time_zone,
  listed_at
from {{ source('zoho_campaigns', 'campaigns') }}
