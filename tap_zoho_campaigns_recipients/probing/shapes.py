"""Values as shapes: what a value looks like, and nothing of what it says.

Whatever is written or logged of a response goes through here first.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter

MOST_CHARACTERS = 40
"""Longer shapes say no more."""
MOST_SHAPES = 5
"""So many shapes of a field are kept, the most frequent ones."""

KEYS: t.Final = frozenset(
    {"campaign_key", "campaignId", "campaignid", "contactid", "contact_id", "zuid", "folder_id"}
)
"""Fields of which only the length is kept: where its digits are could tell one key from others."""

_PUNCTUATION = frozenset(" .,:;@-_/+()[]{}=%&?#'\"|<>*!$")

KNOWN_FIELDS: t.Final = frozenset(
    """
    contactid contactemailaddress contact_email contact_id contactstatus contact_status contactfn
    contactln firstname lastname first_name last_name companyname company_name phone mobile jobtitle
    title address city state country zipcode website note secondary_email facebook_handle
    linkedin_handle twitter_handle timezone sent_time sentdate added_time rtbf openreports
    clickreports clickcount clickedurls urlclicks bouncedDate optOutTime reports campaign_key
    campaignId campaignid campaign_name campaign_status campaigntype campaign_preview subject
    from_email reply_to folder_id is_hybrid zuid created_time created_time_gmt created_date_string
    updated_time updated_time_gmt updated_date_string sent_time_gmt sent_date_string sent_time_zone
    emails_sent_count delivered_count delivered_percent opens_count open_percent unopened
    unopened_percent unique_clicks_count unique_clicked_percent clicksperopenrate bounces_count
    bounce_percent hardbounce_count softbounce_count unsub_count unsubscribe_percent spams_count
    spam_percent complaints_count complaints_percent forwards_count forward_percent unsent_count
    unsent_percent autoreply_count
    """.split()  # noqa: SIM905 - easier to read
)
"""The names of fields that Zoho documents, or that were seen in more than one account.

Other names may be those that a user gave to fields of their own.
"""


def shape(value: object) -> str:
    """Return what a value looks like: digits as 9, letters as a, the kind of anything nested."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return f"number {_masked(str(value))}"
    if isinstance(value, list):
        return f"array of {shape(value[0])}" if value else "array"
    if isinstance(value, dict):
        return "object"
    text = str(value)
    return '"null"' if text == "null" else f'"{_masked(text)}"'


def _masked(text: str) -> str:
    masked = "".join(map(_masked_character, text[:MOST_CHARACTERS]))
    return f"{masked}…" if len(text) > MOST_CHARACTERS else masked


def _masked_character(character: str) -> str:
    if character.isdigit():
        return "9"
    return character if character in _PUNCTUATION else "a"


def field_name(name: str) -> str:
    """Return the name of a field if Zoho documents it, else that it is another one."""
    return name if name in KNOWN_FIELDS else "(another field)"


def field_shapes(rows: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, dict[str, int]]:
    """Return how often each field of some rows has which shape."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for name, value in row.items():
            kept = f"{len(str(value))} characters" if name in KEYS and value else shape(value)
            found.setdefault(field_name(name), Counter())[kept] += 1
    return {name: dict(found[name].most_common(MOST_SHAPES)) for name in sorted(found)}


_CODE = re.compile(r"[0-9]{1,5}")


def code_text(code: object) -> str:
    """Return an error code, which is a number; anything else as a shape."""
    text = str(code)
    return text if _CODE.fullmatch(text) else shape(text)
