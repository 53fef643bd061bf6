"""Singer tap for the recipients of Zoho Campaigns' e-mail campaigns."""
