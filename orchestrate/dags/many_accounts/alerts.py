"""Says that an account failed, where the connection `zoho_campaigns_alerts` exists."""

from __future__ import annotations

import typing as t

import requests
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

if t.TYPE_CHECKING:
    from collections.abc import Mapping

ALERTS = "zoho_campaigns_alerts"
TIMEOUT_S = 30


def tell(context: Mapping[str, t.Any]) -> None:
    """Post the failure to the webhook, as Slack, Mattermost and others read it.

    Args:
        context: That of the failed task.

    Raises:
        AirflowException: The webhook did not take it.
    """
    try:
        webhook = BaseHook.get_connection(ALERTS)
    except AirflowNotFoundException:
        return
    task = context["ti"]
    # Of a task whose worker died no more is known than which one of its kind it was.
    what = context.get("exception") or f"number {task.map_index} failed"
    text = f"{task.dag_id} {task.task_id}: {what} ({task.log_url})"
    try:
        response = requests.post(webhook.password, json={"text": text}, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        # Its text would quote parts of the address, and who knows that may post.
        raise AirflowException(f"The webhook cannot be reached: {type(error).__name__}") from None
    if not response.ok:
        raise AirflowException(f"The webhook answered with HTTP {response.status_code}")
