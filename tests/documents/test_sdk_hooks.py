"""What the tap overrides in the Singer SDK: every hook still exists, and says what it replaces."""

from __future__ import annotations

import inspect
import re
import typing as t

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

from tap_zoho_campaigns_recipients.singer.base_stream import BaseStream
from tap_zoho_campaigns_recipients.singer.base_tap import BaseTap
from tap_zoho_campaigns_recipients.singer.message_writer import MessageWriter
from tap_zoho_campaigns_recipients.streams import STREAMS
from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

if t.TYPE_CHECKING:
    from collections.abc import Iterable

OVERRIDDEN: dict[type, tuple[type, tuple[str, ...]]] = {
    BaseTap: (
        Tap,
        (
            "__init__",
            "_env_var_config",
            "_handle_termination",
            "_validate_config",
            "cb_config",
            "cb_discover",
            "cb_test",
            "get_singer_command",
            "invoke",
            "load_state",
            "message_writer_class",
            "setup_mapper",
            "sync_all",
        ),
    ),
    BaseStream: (
        Stream,
        (
            "TYPE_CONFORMANCE_LEVEL",
            "_generate_record_messages",
            "_increment_stream_state",
            "_sync_records",
            "_write_starting_replication_value",
            "_write_state_message",
            "apply_catalog",
            "get_batches",
            "get_records",
            "get_replication_key_signpost",
            "partitions",
        ),
    ),
    MessageWriter: (GenericSingerWriter, ("__init__", "serialize_message", "write_message")),
}
"""The classes that override hooks of the SDK: the SDK's class, and the hooks."""

USED: dict[type, tuple[str, ...]] = {
    Tap: ("append_builtin_config", "metrics_logger", "streams", "write_message"),
    Stream: (
        "ABORT_AT_RECORD_COUNT",
        "effective_schema",
        "get_record_counter",
        "get_sync_timer",
        "mask",
        "replication_method",
        "selected",
        "stream_maps",
        "sync",
    ),
}
"""What the overrides use of the SDK's own."""


def missing(sdk_class: type, names: Iterable[str]) -> list[str]:
    """Return what a class of the SDK does not have."""
    return [
        f"singer_sdk has no {sdk_class.__name__}.{name} any more: see {sdk_class.__module__}, and "
        "what singer/ needs instead"
        for name in names
        if name not in members(sdk_class)
    ]


def members(sdk_class: type) -> set[str]:
    """Return the names of a class, declared ones and those set on its objects included."""
    names = set(dir(sdk_class))
    for each in sdk_class.__mro__:
        names |= {*vars(each), *inspect.get_annotations(each)}
        if each is not object:
            names |= set(re.findall(r"self\.(\w+)\s*[:=]", inspect.getsource(each)))
    return names


@pytest.mark.parametrize("ours", OVERRIDDEN, ids=lambda each: each.__name__)
def test_every_hook_exists(ours: type) -> None:
    """Each hook that is overridden, and each member that is used, is in the installed SDK."""
    sdk_class, names = OVERRIDDEN[ours]
    assert missing(sdk_class, [*names, *USED.get(sdk_class, ())]) == []


@pytest.mark.parametrize("ours", OVERRIDDEN, ids=lambda each: each.__name__)
def test_every_override_is_listed(ours: type) -> None:
    """No other member of these classes hides one of the SDK's."""
    sdk_class, names = OVERRIDDEN[ours]
    hidden = {
        name
        for name in vars(ours)
        if hasattr(sdk_class, name)
        and (not name.startswith("__") or name == "__init__")
        and name not in {"_abc_impl", "schema", "replication_key", "_tap"}
    }
    assert hidden - set(names) == set()


@pytest.mark.parametrize("ours", OVERRIDDEN, ids=lambda each: each.__name__)
def test_every_private_hook_has_a_reason(ours: type) -> None:
    """A private hook says in its docstring what it replaces."""
    for name in OVERRIDDEN[ours][1]:
        if name.startswith("_") and name != "__init__":
            member = inspect.getattr_static(ours, name)
            function = getattr(member, "fget", None) or getattr(member, "func", member)
            text = inspect.getdoc(function) or ""
            assert "Replaces (private hook)" in " ".join(text.split()), f"{ours.__name__}.{name}"


@pytest.mark.parametrize("ours", [TapZohoCampaignsRecipients, *STREAMS])
def test_no_private_hook_outside_singer(ours: type) -> None:
    """Only the package `singer` overrides private hooks of the SDK."""
    sdk_class = Tap if issubclass(ours, Tap) else Stream
    for each in ours.__mro__:
        if each.__module__.startswith("tap_zoho") and ".singer." not in each.__module__:
            private = {name for name in vars(each) if name.startswith("_")}
            assert not {
                name for name in private if hasattr(sdk_class, name) and not name.startswith("__")
            } - {"_abc_impl"}


def test_a_hook_that_is_gone() -> None:
    """A hook that a release of the SDK has renamed or dropped is named in a readable message."""
    (message,) = missing(Stream, ["_sync_records", "_sync_rows"])
    assert message.startswith(
        "singer_sdk has no Stream._sync_rows any more: see singer_sdk.streams"
    )
