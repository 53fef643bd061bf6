"""Measure the tap, and what a user would pick instead: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from datetime import UTC, datetime

from benchmarks.contenders import AIRBYTE, DLT, versions
from benchmarks.parts import PARTS
from benchmarks.server import ROOT

RESULTS = ROOT / "benchmarks" / "RESULTS.md"

PREFACE = """\
# What the tap costs

Written by `make bench` on {date}: {system}, {cores} cores, Python {python}; {packages}.

Everything is measured against the [sandbox](../sandbox), which runs in a process of its own on the
same machine and never locks. *CPU* is user and system time of the whole process, its start
included. Figures are medians of {runs} runs in turns. The page size is 500. *Delivered* compares
all rows with the sandbox's own account.

- This tap reads the nine lists, the campaigns and their reports, and counts calls in its file.
- dlt extracts to its own files, compressed by default; normalising and loading come on top. It is
  given a paginator that ends with a page that is not full: its own make another call for each list.
- Airbyte's source is the manifest in [`peers/`](peers), with the concurrency level set.
- The plain SDK tap is a parent stream with nine children, with the SDK's defaults; it sends one
  request after the other.
- The bare loop parses and writes lines, one request after the other, and does nothing else.
"""


def main() -> int:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="a part; may be repeated (default: all)"
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each is run")
    parser.add_argument(
        "--print", action="store_true", help="print the tables, leave RESULTS.md as it is"
    )
    arguments = parser.parse_args()
    # Ends the sandbox too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for peer in (DLT, AIRBYTE):
        if not peer.python.exists():
            parser.error(f"{peer.name} is not installed: run make bench")
    started = time.monotonic()
    tables = []
    for name, part in PARTS.items():
        if not arguments.only or name in arguments.only:
            _say(name)
            began = time.monotonic()
            tables.append(part(arguments.runs, _say).markdown())
            _say(f"  {name}: {(time.monotonic() - began) / 60:.1f} minutes")
    preface = PREFACE.format(
        date=datetime.now(UTC).date().isoformat(),
        system=f"{platform.system()} on {platform.machine()}",
        cores=os.cpu_count(),
        python=platform.python_version(),
        packages=", ".join(versions()),
        runs=arguments.runs,
    )
    text = "\n".join((preface, *tables))
    # A part by itself is for whoever works on it: the file holds one whole run.
    if arguments.only or arguments.print:
        print("\n".join(tables))
    else:
        RESULTS.write_text(text, encoding="utf-8")
        _say(f"Written to {RESULTS.relative_to(ROOT)}")
    _say(f"{(time.monotonic() - started) / 60:.1f} minutes")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
