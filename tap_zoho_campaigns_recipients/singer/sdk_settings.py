"""Checks of the settings that the Singer SDK adds, where it would end in a traceback later."""

from __future__ import annotations

import difflib
import fnmatch
import re
import traceback
import typing as t

from upath import UPath

from tap_zoho_campaigns_recipients.zoho.errors import quoted

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_BATCH_NAMES = {
    "batch_config": ("encoding", "storage", "batch_size"),
    "batch_config.encoding": ("format", "compression"),
    "batch_config.storage": ("root", "prefix", "params"),
}


def sdk_setting_problems(config: Mapping[str, t.Any], streams: Collection[str]) -> list[str]:
    """Describe what is wrong with settings of the SDK, in one line each.

    Args:
        config: The configuration, of which the types may still be wrong.
        streams: The names of all streams.
    """
    batch_config, maps, values = (
        given if isinstance(given := config.get(name), dict) else {}
        for name in ("batch_config", "stream_maps", "stream_map_config")
    )
    return [*_batch_problems(batch_config), *_stream_map_problems(maps, values, streams)]


def _batch_problems(batch_config: Mapping[str, t.Any]) -> Iterator[str]:
    """Describe what is wrong with `batch_config`, in one line each; empty, it is not used."""
    if not batch_config:
        return
    encoding, storage = (
        given if isinstance(given := batch_config.get(name), dict) else {}
        for name in ("encoding", "storage")
    )
    for path, part in zip(_BATCH_NAMES, (batch_config, encoding, storage), strict=True):
        for name in part:
            if name not in _BATCH_NAMES[path]:
                yield f"{path}.{name} is not known: {path} has {', '.join(_BATCH_NAMES[path])}"
    if not encoding.get("format"):
        yield "batch_config.encoding.format must be jsonl"
    size = batch_config.get("batch_size", 1)
    if not isinstance(size, int) or size < 1:
        yield "batch_config.batch_size must be a whole number of 1 or more"
    root = storage.get("root")
    if not isinstance(root, str) or not root.strip():
        yield "batch_config.storage.root must be the address of a folder, such as file:///data/zoho"
        return
    try:
        UPath(root, **(storage.get("params") or {})).fs  # noqa: B018 - it is made when read
    except (ValueError, ImportError, TypeError) as error:
        yield f"batch_config.storage.root cannot be used: {quoted(str(error))}"


def _stream_map_problems(
    stream_maps: Mapping[str, t.Any],
    values: Mapping[str, t.Any],
    streams: Collection[str],
) -> Iterator[str]:
    """Describe what is wrong with `stream_maps`, in one line each.

    A map that is never applied could be one that should have hidden an address.

    Args:
        stream_maps: The maps by name of a stream, pattern, or alias.
        values: `stream_map_config`, the values that expressions can use.
        streams: The names of all streams.
    """
    for name, rules in stream_maps.items():
        if name == "__else__":
            if rules not in {None, "__NULL__"}:
                yield "stream_maps.__else__ must be null"
            continue
        rules = rules if isinstance(rules, dict) else {}  # noqa: PLW2901
        source = rules.get("__source__", name)
        if not any(fnmatch.fnmatch(stream, source) for stream in streams):
            near = difflib.get_close_matches(source, streams, n=1)
            hint = f"did you mean {near[0]}?" if near else "see --discover for their names"
            yield f'stream_maps names "{source}", and no stream is called so: {hint}'
        for field, expression in rules.items():
            yield from _expression_problems(f"stream_maps.{name}.{field}", expression, values)


def _expression_problems(
    path: str, expression: object, values: Mapping[str, t.Any]
) -> Iterator[str]:
    if path.endswith(".__else__") and expression not in {None, "__NULL__"}:
        yield f"{path} must be null"
    elif isinstance(expression, str) and not expression.strip():
        yield f"{path} is empty: write an expression, or take the line out"
    elif isinstance(expression, str):
        for name in _values_used(expression):
            if values.get(name) in {None, ""}:
                yield f"stream_map_config has no value for {name}, which {path} uses"


def _values_used(expression: str) -> Iterable[str]:
    """Return the names of `stream_map_config` in an expression, such as `config['salt']`."""
    return re.findall(r"""\bconfig\[\s*["']([^"']+)["']\s*\]""", expression)


def failed_expression(error: Exception) -> str | None:
    """Return the text of the stream map's expression in which an exception was raised, if any.

    The SDK's errors either do not have it, or have values of the record beside it.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        expression = frame.f_locals.get("expr")
        if frame.f_globals.get("__name__") == "singer_sdk.mapper" and isinstance(expression, str):
            return expression
    return None
