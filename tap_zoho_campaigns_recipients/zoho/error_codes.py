"""What Zoho's error codes and HTTP statuses mean, and what to tell the user.

To classify a new code, add a line to `OUTCOMES`, and to `ADVICE` if the class of the error cannot
know what to say.
"""

from __future__ import annotations

import re
import typing as t
from enum import Enum

from tap_zoho_campaigns_recipients.zoho.endpoints import Endpoint
from tap_zoho_campaigns_recipients.zoho.errors import (
    CampaignRefused,
    InsufficientPrivileges,
    MissingParameter,
    RangeTooLarge,
    Throttled,
    Transient,
    Unauthorized,
)

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.zoho.errors import ZohoError


class _Empty(Enum):
    """The type of `EMPTY`."""

    EMPTY = "an empty list"


EMPTY: t.Final = _Empty.EMPTY
"""The outcome of an error code by which Zoho says that a list has no rows."""

ANYWHERE: t.Final = None
"""Every endpoint, in `OUTCOMES`; a line for one endpoint goes first."""

Outcome: t.TypeAlias = "type[ZohoError] | t.Literal[_Empty.EMPTY]"

OUTCOMES: t.Final[dict[tuple[Endpoint | None, str], Outcome]] = {
    (Endpoint.RECIPIENTS, "6303"): EMPTY,
    # Seen live on the sister endpoint getlistsubscribers, for a page past the end of a list.
    (Endpoint.RECIPIENTS, "2502"): EMPTY,
    (Endpoint.RECIPIENTS, "6002"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6301"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6601"): CampaignRefused,
    (Endpoint.RECIPIENTS, "2206"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6503"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6608"): CampaignRefused,
    (Endpoint.RECIPIENTS, "6607"): InsufficientPrivileges,
    (Endpoint.RECIPIENTS, "6502"): RangeTooLarge,
    (Endpoint.RECIPIENTS, "6001"): Transient,
    (Endpoint.LISTING, "6101"): EMPTY,
    (Endpoint.LISTING, "6303"): EMPTY,
    (Endpoint.LISTING, "6502"): RangeTooLarge,
    (Endpoint.LISTING, "6001"): Transient,
    (ANYWHERE, "2101"): Transient,
    (ANYWHERE, "2707"): Transient,
    (ANYWHERE, "903"): MissingParameter,
    (ANYWHERE, "1003"): MissingParameter,
    (ANYWHERE, "1007"): Unauthorized,
    # Zoho's other products say it so; two public clients of this API look for it too.
    (ANYWHERE, "INVALID_OAUTHTOKEN"): Unauthorized,
}
"""What each error code means, by endpoint: the same number means different things on different
endpoints. A code that is not here is `Throttled` where the words say so, else `UnexpectedCode`."""

ADVICE: t.Final[dict[tuple[Endpoint, str], str]] = {
    (Endpoint.RECIPIENTS, "6002"): "The campaign key is wrong, or the campaign was not sent yet",
    (Endpoint.RECIPIENTS, "6301"): "The campaign key is wrong",
    (Endpoint.RECIPIENTS, "6601"): "An A/B campaign that went to fewer than 4 recipients has none",
    (Endpoint.RECIPIENTS, "2206"): "The campaign was deleted",
    (Endpoint.RECIPIENTS, "6503"): "The campaign was deleted",
    (Endpoint.RECIPIENTS, "6608"): "The campaign was deleted",
    (Endpoint.LISTING, "6601"): InsufficientPrivileges.advice,
    (Endpoint.LISTING, "6607"): InsufficientPrivileges.advice,
}
"""What to tell the user where the error's own class cannot know it."""

OUTCOME_OF_STATUS: t.Final[dict[int, type[ZohoError]]] = {
    401: Unauthorized,
    408: Transient,
    429: Throttled,
}
"""What an HTTP status means, whatever the body. From 500 on all are `Transient`, except a body that
speaks of a lock."""

NO_CONTACTS: t.Final = re.compile(
    r"\bno (?:contacts?|subscribers?|recipients?)\b|没有[^。]{0,6}(?:订阅者|联系人|收件人)",
    re.IGNORECASE,
)
"""A recipients error with these words is an empty list, whatever its code: seen live with
"There are no contacts."; the legacy documentation words 6303 as 所选邮件列表中没有订阅者."""
