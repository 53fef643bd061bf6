"""Run the tap with ``python -m tap_zoho_campaigns_recipients``."""

from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

TapZohoCampaignsRecipients.cli()
