{{ config(enabled=zoho_campaigns.loaded(zoho_campaigns.list_streams()) | length > 0) }}

select recipient.campaign_key, recipient.contact_email
from {{ ref('zoho_campaigns__campaign_recipients') }} as recipient
left join {{ ref('zoho_campaigns__contacts') }} as contact on contact.contact_email = recipient.contact_email
where contact.contact_email is null
