"""The accounts server: access tokens for refresh tokens and grant codes, and its throttle."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sandbox.responses import Reply, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.model import Account
    from sandbox.switches import Switches

GRANT_LIFETIME_S = 600
ACTIVE_TOKENS = 10


class TokenOffice:
    """Hands out access tokens and knows which of them are valid."""

    def __init__(self, account: Account, switches: Switches, now: Callable[[], float]) -> None:
        """Open the office; a grant code is valid for ten minutes from here."""
        self.account = account
        self.switches = switches
        self.now = now
        self.issued: dict[str, tuple[float, str]] = {}
        """Access tokens with the time they expire and their scope, oldest first."""
        self._requests: deque[float] = deque()
        self._count = 0
        self._used_codes: set[str] = set()
        self._revoked: set[str] = set()
        self._opened_at = now()

    def respond(self, method: str, params: Mapping[str, str]) -> Reply:
        """Answer a token request. Errors come with HTTP 200, as Zoho's do."""
        if method != "POST":
            return self._error("invalid_request", 405)
        if self._is_throttled():
            return self._throttled()
        error, extra = self._check(params)
        if error:
            return self._error(error)
        return Reply(200, dump({"access_token": self._issue(), **extra, **self._terms()}))

    def _check(self, params: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
        """Find what is wrong with a request, or else what its response holds besides."""
        account = self.account
        token, code = params.get("refresh_token"), params.get("code", "")
        extra: dict[str, str] = {}
        error = None
        if params.get("client_id") != account.client_id:
            error = "invalid_client"
        elif params.get("client_secret") != account.client_secret:
            error = "invalid_client_secret"
        elif params.get("grant_type") == "refresh_token":
            if token != account.refresh_token or token in self._revoked:
                error = "invalid_code"
        elif params.get("grant_type") == "authorization_code":
            expired = self.now() > self._opened_at + GRANT_LIFETIME_S
            is_spent = self.switches.grant_code_once and (code in self._used_codes or expired)
            if code != account.grant_code or is_spent:
                error = "invalid_code"
            self._used_codes.add(code)
            extra = {"refresh_token": account.refresh_token}
        else:
            error = "unsupported_grant_type"
        return error, extra

    def is_valid(self, token: str) -> bool:
        """Whether an access token is known, has not expired and has the scope to read campaigns."""
        if token == self.account.access_token:
            scope = self.account.scope
        else:
            expires_at, scope = self.issued.get(token, (0.0, ""))
            if self.now() >= expires_at:
                return False
        if token in self._revoked:
            return False
        wanted = {"ZohoCampaigns.campaign.READ", "ZohoCampaigns.campaign.ALL"}
        return not wanted.isdisjoint(scope.replace(" ", ",").split(","))

    def revoke_access_tokens(self) -> None:
        """Every access token handed out so far, and the lasting one, is refused from now on."""
        self._revoked |= {*self.issued, self.account.access_token}

    def revoke_refresh_token(self) -> None:
        """The account's refresh token is refused from now on."""
        self._revoked.add(self.account.refresh_token)

    def _issue(self) -> str:
        self._count += 1
        token = f"1000.sandbox-access-token-{self._count:06d}"
        self.issued[token] = (self.now() + self.switches.token_lifetime_s, self.account.scope)
        active = [t for t, (expires_at, _) in self.issued.items() if expires_at > self.now()]
        for oldest in active[:-ACTIVE_TOKENS]:
            del self.issued[oldest]
        return token

    def _terms(self) -> dict[str, Any]:
        lifetime_s = self.switches.token_lifetime_s
        terms: dict[str, Any] = {
            "scope": self.account.scope,
            "api_domain": "https://www.zohoapis.com",
            "token_type": "Bearer",
            "expires_in": lifetime_s,
        }
        if self.switches.expires_in == "milliseconds":
            terms |= {"expires_in": lifetime_s * 1000, "expires_in_sec": lifetime_s}
        return terms

    def _is_throttled(self) -> bool:
        """Count a request; refused ones count too, so that only silence helps."""
        if self.switches.token_limit is None:
            return False
        now = self.now()
        while self._requests and self._requests[0] <= now - self.switches.token_period_s:
            self._requests.popleft()
        self._requests.append(now)
        return len(self._requests) > self.switches.token_limit

    def _throttled(self) -> Reply:
        body = {
            "error_description": "You have made too many requests continuously."
            " Please try again after some time.",
            "error": "Access Denied",
            "status": "failure",
        }
        return Reply(self.switches.token_throttle_status, dump(body), code="Access Denied")

    def _error(self, error: str, status: int = 200) -> Reply:
        return Reply(status, dump({"error": error}), code=error)
