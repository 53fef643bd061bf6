"""Who may send requests for lists while Zoho answers none of them."""

from __future__ import annotations

import threading
import typing as t

from tap_zoho_campaigns_recipients.zoho.clock import Stopped

if t.TYPE_CHECKING:
    from tap_zoho_campaigns_recipients.zoho.errors import TapError


class RetryGate:
    """Lets one request at a time through, from a failure until Zoho answers again.

    A server that is down then costs the tries of a few lists, and not those of all that are in
    flight. A list that was given up is not requested again.
    """

    def __init__(self) -> None:
        """Start open."""
        self._condition = threading.Condition()
        self._is_in_trouble = False
        self._holder: object = None
        self._given_up: dict[str, TapError] = {}
        self._is_closed = False

    def enter(self, request: object, list_name: str) -> None:
        """Wait until a request may be sent.

        Args:
            request: Tells this request from others.
            list_name: The list that it is about.

        Raises:
            TapError: The list was given up with this error.
            Stopped: The run has ended.
        """
        with self._condition:
            while self._is_in_trouble and self._holder not in (None, request):
                if self._is_closed:
                    raise Stopped
                self._condition.wait()
            if self._is_closed:
                raise Stopped
            if list_name in self._given_up:
                raise self._given_up[list_name]
            if self._is_in_trouble:
                self._holder = request

    def failed(self) -> None:
        """Close the gate: a try has failed."""
        with self._condition:
            self._is_in_trouble = True

    def give_up(self, request: object, list_name: str, error: TapError) -> None:
        """Let no further request for a list through."""
        with self._condition:
            self._given_up[list_name] = error
            self._release(request)

    def answered(self) -> None:
        """Open the gate: Zoho has answered a request for a list."""
        with self._condition:
            self._is_in_trouble = False
            self._holder = None
            self._condition.notify_all()

    def leave(self, request: object) -> None:
        """Give the turn to another request, if this one has it."""
        with self._condition:
            self._release(request)

    def close(self) -> None:
        """Let no request through any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def _release(self, request: object) -> None:
        if self._holder is request:
            self._holder = None
            self._condition.notify_all()
