{{ config(enabled=zoho_campaigns.is_loaded('campaign_reports')) }}

select
  campaign_key,
  coalesce(parent_campaign_key, campaign_key) as main_campaign_key,
  report_read_at,
  emails_sent_count as sent,
  delivered_count as delivered,
  opens_count as opened,
  unopened,
  unique_clicks_count as clicked,
  hardbounce_count as hard_bounced,
  softbounce_count as soft_bounced,
  unsub_count as opted_out,
  spams_count as complained,
  unsent_count as unsent
from {{ source('zoho_campaigns', 'campaign_reports') }}
