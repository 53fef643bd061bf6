"""The tap: its settings, its streams, and what one run over them is made of."""

from __future__ import annotations

import hashlib
import typing as t
from urllib.parse import urlsplit

from tap_zoho_campaigns_recipients.settings import JSON_SCHEMA, Settings, problems
from tap_zoho_campaigns_recipients.singer.base_tap import BaseTap
from tap_zoho_campaigns_recipients.singer.logs import keep_secrets_out
from tap_zoho_campaigns_recipients.streams import STREAM_NAMES, STREAMS
from tap_zoho_campaigns_recipients.sync.bookmarks import State
from tap_zoho_campaigns_recipients.sync.request_pool import WorkerThreads
from tap_zoho_campaigns_recipients.sync.scheduler import Scheduler
from tap_zoho_campaigns_recipients.sync.selected_stream import Content
from tap_zoho_campaigns_recipients.zoho.account_offset import advice
from tap_zoho_campaigns_recipients.zoho.auth import credentials
from tap_zoho_campaigns_recipients.zoho.client import Client
from tap_zoho_campaigns_recipients.zoho.rate_limit.limiter import Limiter
from tap_zoho_campaigns_recipients.zoho.transport import Transport

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_zoho_campaigns_recipients.singer.base_stream import BaseStream


class TapZohoCampaignsRecipients(BaseTap):
    """Who was sent, opened, clicked, bounced, opted out of or reported each Zoho campaign."""

    name = "tap-zoho-campaigns-recipients"
    package_name = "tap-zoho-campaigns-recipients"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = JSON_SCHEMA
    stream_names = STREAM_NAMES

    def discover_streams(self) -> Sequence[BaseStream]:
        """Return all streams; no request is needed."""
        return [stream(self) for stream in STREAMS]

    @classmethod
    def setting_problems(cls, config: Mapping[str, t.Any]) -> list[str]:
        """Describe what is wrong with settings that fit the schema, in one line each."""
        return problems(config)

    def new_scheduler(self) -> Scheduler:
        """Return a new run over all selected streams."""
        settings = self._settings
        keep_secrets_out(settings.secrets)
        if settings.limit_warning:
            self.logger.warning(settings.limit_warning)
        transport = Transport(
            user_agent=settings.user_agent, timeout_seconds=settings.request_timeout
        )
        limiter = Limiter(
            store=settings.rate_limit_store,
            account=account_name(settings),
            calls=settings.rate_limit_calls,
            period_seconds=settings.rate_limit_period,
            clock=self.clock,
            logger=self.logger,
        )
        client = Client(
            settings,
            credentials(settings, transport, self.clock),
            transport,
            limiter,
            self.clock,
            self.logger,
        )
        streams = [
            stream.selection(self._run_state.state.streams.get(stream.name))
            for stream in t.cast("t.Iterable[BaseStream]", self.streams.values())
            if stream.selected
        ]
        # If no stream keeps a state, the state is neither used nor changed.
        is_stateless = all(
            each.state is None for each in streams if each.content is not Content.CAMPAIGNS
        ) and any(each.content is not Content.CAMPAIGNS for each in streams)
        return Scheduler(
            settings,
            client,
            self.clock,
            self.logger,
            streams,
            WorkerThreads(settings.max_parallel_requests, transport.close),
            State({}) if is_stateless else self._run_state.state,
        )

    def connection_report(self, scheduler: Scheduler) -> str:
        """Describe what a test of the connection has shown."""
        host = urlsplit(self._settings.api_url).netloc
        if scheduler.why_empty:
            return f"{host} accepts the credentials and shows no campaign. {scheduler.why_empty}"
        return (
            f"Credentials, scope and data center are right: {host} shows "
            f"{len(scheduler.campaigns)} campaigns to read. {advice(scheduler.times)}"
        )

    @property
    def _settings(self) -> Settings:
        return Settings.from_config(self.config, f"{self.name}/{self.plugin_version}")


def account_name(settings: Settings) -> str:
    """Return the name under which calls are counted; no secret can be read from it."""
    if settings.rate_limit_account:
        return f"account-{_digest(settings.rate_limit_account)}"
    identity = settings.client_id or settings.auth_token
    host = urlsplit(settings.api_url).netloc
    return f"{host}-{_digest(identity)}" if identity else host


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
