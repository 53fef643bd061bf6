"""Zoho Campaigns' API, and nothing of Singer: requests, responses, pages, rows."""
