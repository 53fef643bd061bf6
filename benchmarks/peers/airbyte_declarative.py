"""Airbyte's declarative source: `python -m benchmarks.peers.airbyte_declarative order.json`.

The manifest beside this file, run as the CDK's own command line runs it.
"""

from __future__ import annotations

import json
from pathlib import Path

from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource

from benchmarks.peers.order import order_of_command_line

MANIFEST = Path(__file__).with_name("airbyte_manifest.yaml")


def main() -> None:
    """Read everything."""
    order = order_of_command_line()
    config = {
        "url": order.url,
        "authorization": order.authorization,
        "in_flight": order.in_flight,
        "page_size": order.page_size,
    }
    streams = [
        {
            "stream": {"name": action, "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "append",
        }
        for action in order.actions
    ]
    files = {"config": config, "catalog": {"streams": streams}}
    arguments = ["read"]
    for name, value in files.items():
        path = Path(order.folder, f"{name}.json")
        path.write_text(json.dumps(value), encoding="utf-8")
        arguments += [f"--{name}", str(path)]
    source = YamlDeclarativeSource(
        path_to_yaml=str(MANIFEST),
        config=config,
        catalog=YamlDeclarativeSource.read_catalog(AirbyteEntrypoint.extract_catalog(arguments)),
        state=[],
    )
    launch(source, arguments)


if __name__ == "__main__":
    main()
