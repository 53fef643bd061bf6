"""Serve a sandbox in a process of its own: `python -m sandbox --port 8080`."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import signal
import sys
import threading
from pathlib import Path

from sandbox import Sandbox, Switches, load_account


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument(
        "--account",
        default="demo",
        help='demo, seed, a JSON object like \'{"campaigns": 300, "recipients": 84}\','
        " or a file with one",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SWITCH=VALUE", help="may be repeated"
    )
    parser.add_argument("--latency", type=float, help="seconds that each answer waits")
    parser.add_argument("--time", type=float, help="what the clock shows at first, epoch seconds")
    parser.add_argument("--port-file", type=Path, help="the address is written here")
    parser.add_argument("--list-switches", action="store_true", help="explain the switches and end")
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments()
    if arguments.list_switches:
        for field in dataclasses.fields(Switches):
            print(f"{field.name} = {field.default!r}\n    {field.metadata['says']}")
        return 0
    switches = Switches()
    try:
        for setting in arguments.set:
            name, _, value = setting.partition("=")
            switches.set(name, value)
        if arguments.latency is not None:
            switches.latency_s = arguments.latency
        account = load_account(arguments.account, arguments.time)
        sandbox = Sandbox(account, switches=switches, host=arguments.host, port=arguments.port)
    except (OSError, ValueError, TypeError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    if arguments.time is not None:
        sandbox.set_time(arguments.time)
    gc.collect()
    gc.freeze()  # Thousands of contacts that stay need not be looked through again.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with sandbox:
        if arguments.port_file:
            partial = arguments.port_file.with_suffix(".partial")
            partial.write_text(sandbox.url, encoding="utf-8")
            partial.replace(arguments.port_file)
        print(f"Zoho Campaigns sandbox at {sandbox.url}", flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
