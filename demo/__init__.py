"""A demonstration: a made-up Zoho Campaigns account, read into a real PostgreSQL."""
