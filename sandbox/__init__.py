"""A model of Zoho Campaigns' HTTP API to test, show and measure a client against.

It serves on loopback only, needs nothing but Python, and knows nothing of any client:
it is written from Zoho's documentation and from what others saw of the live API.
"""

from sandbox.accounts import (
    campaign_key,
    demo_account,
    load_account,
    make_account,
    make_campaign,
    make_contact,
    seed_account,
)
from sandbox.faults import KINDS, STORM_KINDS, Fault, Faults, Logged
from sandbox.model import ACTIONS, PROFILE_FIELDS, Account, Campaign, Contact, Mail
from sandbox.responses import epoch_ms, open_reports, wall_clock
from sandbox.server import Clock, Sandbox
from sandbox.switches import DOCUMENTED_LIMIT, POSITIONS, Limit, Moves, Switches

__all__ = [
    "ACTIONS",
    "DOCUMENTED_LIMIT",
    "KINDS",
    "POSITIONS",
    "PROFILE_FIELDS",
    "STORM_KINDS",
    "Account",
    "Campaign",
    "Clock",
    "Contact",
    "Fault",
    "Faults",
    "Limit",
    "Logged",
    "Mail",
    "Moves",
    "Sandbox",
    "Switches",
    "campaign_key",
    "demo_account",
    "epoch_ms",
    "load_account",
    "make_account",
    "make_campaign",
    "make_contact",
    "open_reports",
    "seed_account",
    "wall_clock",
]
