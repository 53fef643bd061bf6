"""Says that an account failed, where the connection `zoho_campaigns_alerts` exists."""

from __future__ import annotations

import typing as t

import requests

from many_accounts.accounts import shared_connection

if t.TYPE_CHECKING:
    from collections.abc import Mapping

ALERTS = "zoho_campaigns_alerts"
TIMEOUT_S = 30


def tell(context: Mapping[str, t.Any]) -> None:
    """Post the failure to the webhook, as Slack, Mattermost and others read it.

    Args:
        context: That of the failed task.
    """
    webhook = shared_connection(ALERTS)
    if webhook is None:
        return
    task = context["ti"]
    text = f"{task.dag_id} {task.task_id}: {context.get('exception') or 'failed'}"
    # The whole address is the connection's password: who knows it may post.
    requests.post(webhook.password, json={"text": text}, timeout=TIMEOUT_S).raise_for_status()
