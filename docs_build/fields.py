"""The page of tables and fields, made from `schemas/` and the keys of the streams."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from tap_zoho_campaigns_recipients.tap import TapZohoCampaignsRecipients

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/fields.md"

LISTS = (
    "sent_contacts",
    "opened_contacts",
    "clicked_contacts",
    "unopened_contacts",
    "optout_contacts",
    "spam_contacts",
    "hard_bounce_contacts",
    "soft_bounce_contacts",
    "unsent_contacts",
)
EVENTS = {"opened_contacts": "open_events", "clicked_contacts": "click_events"}
"""The events that each list has."""
OF_CAMPAIGNS = (
    "campaigns",
    "campaign_reports",
    "campaign_locations",
    "campaign_details",
    "list_readings",
)
MOST_SIDE_BY_SIDE = 6
"""Tables that a picture has room for in its width."""

STREAMS = (*LISTS, *EVENTS.values(), "list_readings", *OF_CAMPAIGNS[:-1])
"""In the order of the page."""

HEAD = """\
# Tables and fields

Each stream becomes a table of the same name. This page is generated from `schemas/` with
`make docs-pages`; the same descriptions are in the catalog that `--discover` prints.

`?` after a type means that the field can be null; its description says what null means. Loaders add
columns of their own, which begin with `_sdc_`.

## How the tables belong together

A campaign and what is known of it. An A/B variant is a campaign too; its `parent_campaign_key` is
the `campaign_key` of the A/B campaign.

```mermaid
{campaigns}
```

Contacts of a campaign, and their events. `list_readings` has one row for each list of a campaign:
its `action` is the `action` of the rows of that list.

```mermaid
{contacts}
```
"""


class StreamSchema(t.NamedTuple):
    """What the page says of a stream."""

    name: str
    keys: list[str]
    replication: str
    document: dict[str, t.Any]


def streams() -> dict[str, StreamSchema]:
    """Return every stream with its key and the schema in its file."""
    catalog = TapZohoCampaignsRecipients(validate_config=False).catalog_dict
    found = {}
    for entry in catalog["streams"]:
        name = entry["tap_stream_id"]
        text = (ROOT / f"schemas/{name}.json").read_text(encoding="utf-8")
        keys = list(entry["key_properties"])
        replication = entry.get("replication_key")
        found[name] = StreamSchema(
            name, keys, f"incremental by `{replication}`" if replication else "full table",
            json.loads(text),
        )  # fmt: skip
    return found


def page() -> str:
    """Return the text of the page."""
    known = streams()
    if set(known) != set(STREAMS):
        raise ValueError(f"docs_build/fields.py does not place {set(known) ^ set(STREAMS)}")
    parts = [
        HEAD.format(
            campaigns=diagram([known[name] for name in OF_CAMPAIGNS]),
            contacts=diagram([known[name] for name in ("campaigns", *LISTS, *EVENTS.values())]),
        )
    ]
    parts += [section(known[name]) for name in STREAMS]
    return "\n".join(parts)


def diagram(chosen: list[StreamSchema]) -> str:
    """Return an ER picture of tables with their keys, in the language of Mermaid.

    Args:
        chosen: The tables.
    """
    lines = ["erDiagram", *(["    direction LR"] if len(chosen) > MOST_SIDE_BY_SIDE else [])]
    names = [stream.name for stream in chosen]
    for name in names:
        if name == "campaigns":
            lines.append('    campaigns |o--o{ campaigns : "A/B variants"')
        elif name in EVENTS.values():
            (of_list,) = [each for each, events in EVENTS.items() if events == name]
            lines.append(f'    {of_list} ||--o{{ {name} : "events"')
        else:
            one = "|o" if stream_is_one(chosen, name) else "o{"
            lines.append(f'    campaigns ||--{one} {name} : ""')
    for stream in chosen:
        lines.append(f"    {stream.name} {{")
        for field in stream.keys:
            foreign = ", FK" if field == "campaign_key" and stream.name != "campaigns" else ""
            kind = type_of(stream.document["properties"][field])
            lines.append(f"        {kind} {field} PK{foreign}")
        if stream.name == "campaigns":
            lines.append("        string parent_campaign_key FK")
        lines.append("    }")
    return "\n".join(lines)


def stream_is_one(chosen: list[StreamSchema], name: str) -> bool:
    """Return whether a table has at most one row of a campaign."""
    (stream,) = [each for each in chosen if each.name == name]
    return stream.keys == ["campaign_key"]


def section(stream: StreamSchema) -> str:
    """Return the part of the page that describes a table."""
    keys = ", ".join(f"`{name}`" for name in stream.keys)
    rows = [
        f"| `{path}` | {type_of(field)}{'?' if 'null' in field['type'] else ''} | {cell(field)} |"
        for path, field in fields(stream.document)
    ]
    return "\n".join(
        [
            f"## {stream.name}",
            "",
            stream.document["description"],
            "",
            f"Key: {keys}. Replication: {stream.replication}.",
            "",
            "| field | type | what it is |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def fields(schema: dict[str, t.Any], path: str = "") -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Yield each field of a schema and the fields within it, with its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}{name}", field
        yield from fields(field, f"{path}{name}.")
        yield from fields(field.get("items", {}), f"{path}{name}[].")


def type_of(field: dict[str, t.Any]) -> str:
    """Return the type of a field in a word."""
    kinds = [field["type"]] if isinstance(field["type"], str) else field["type"]
    (kind,) = [each for each in kinds if each != "null"]
    return "datetime" if field.get("format") == "date-time" else str(kind)


def cell(field: dict[str, t.Any]) -> str:
    """Return a description as the cell of a table."""
    text: str = field.get("description", "")
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
