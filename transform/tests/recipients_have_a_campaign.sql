-- A campaign that is gone from the listing keeps its rows, so this warns and does not fail.
{{ config(
  severity='warn',
  enabled=zoho_campaigns.is_loaded('campaigns') and zoho_campaigns.loaded(zoho_campaigns.list_streams()) | length > 0
) }}

select distinct recipient.campaign_key
from {{ ref('zoho_campaigns__campaign_recipients') }} as recipient
left join {{ ref('stg_zoho_campaigns__campaigns') }} as campaign on campaign.campaign_key = recipient.campaign_key
where campaign.campaign_key is null
