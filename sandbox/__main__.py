"""Serve a sandbox in a process of its own: `python -m sandbox --port 8080`."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import signal
import sys
import threading
import time
from pathlib import Path

from sandbox import DOCUMENTED_LIMIT, Sandbox, Switches, load_account
from sandbox.switches import set_from_probe

WEEK_S = 7 * 86_400


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
    parser.add_argument(
        "--probe",
        type=Path,
        metavar="FILE",
        help="a probe's file: the sandbox behaves as the probed account's API does",
    )
    parser.add_argument("--latency", type=float, help="seconds that each response waits")
    parser.add_argument(
        "--time",
        type=float,
        help="what the clock shows at first, epoch seconds; without it the real time, and campaigns"
        " that are dated from the beginning of this week, so that the next start has the same",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse what Zoho refuses: more than ten tokens in ten minutes, more than 500 calls of"
        " an endpoint in five, and a grant code that was used or is old",
    )
    parser.add_argument("--port-file", type=Path, help="the address is written here")
    parser.add_argument("--list-switches", action="store_true", help="explain the switches and end")
    return parser.parse_args()


def _switches(arguments: argparse.Namespace) -> Switches:
    switches = Switches(token_limit=None, grant_code_once=False)
    if arguments.strict:
        switches = Switches(limit=DOCUMENTED_LIMIT)
    if arguments.probe is not None:
        set_from_probe(switches, json.loads(arguments.probe.read_text(encoding="utf-8")))
    for setting in arguments.set:
        name, _, value = setting.partition("=")
        switches.set(name, value)
    if arguments.latency is not None:
        switches.latency_s = arguments.latency
    return switches


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments()
    if arguments.list_switches:
        for field in dataclasses.fields(Switches):
            print(f"{field.name} = {field.default!r}\n    {field.metadata['says']}")
        return 0
    dated_from = arguments.time
    if dated_from is None:
        dated_from = time.time() // WEEK_S * WEEK_S
    try:
        switches = _switches(arguments)
        account = load_account(arguments.account, dated_from)
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
        print(
            f"Zoho Campaigns sandbox at {sandbox.url}\n"
            f"  api_url, accounts_url  {sandbox.url}\n"
            f"  client_id              {account.client_id}\n"
            f"  client_secret          {account.client_secret}\n"
            f"  refresh_token          {account.refresh_token}\n"
            f"  grant code             {account.grant_code}\n"
            f"  auth_token             {account.auth_token} (the legacy API)\n"
            "Ctrl-C ends it.",
            flush=True,
        )
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
