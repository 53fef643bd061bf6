"""The picture of the demo: what `make demo` printed, as a drawing of a terminal.

`docs/images/demo.txt` holds the output. `make docs-demo` runs the demo and writes both again.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from html import escape

OUTPUT = "docs/images/demo.txt"
PICTURE = "docs/images/demo.svg"

CHARACTER_WIDTH_PX = 8.4
LINE_HEIGHT_PX = 18
MARGIN_PX = 16

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ \[(\w+) *\] (\S+) +(.*)")
"""A line of Meltano's log: level, who says it, what."""


def shown(output: str) -> str:
    """Return the part of the demo's output that the picture shows.

    Meltano's own log is left out; of the tap's lines, those that are no metrics stay.

    Args:
        output: All that `make demo` printed.
    """
    lines: list[str] = ["$ make demo"]
    for line in output.splitlines():
        if line.startswith(".venvs/"):
            continue  # make shows the command
        if not (log_line := LOG_LINE.match(line)):
            lines.append(line.rstrip())
        elif log_line[2].startswith("tap-") and not log_line[3].startswith("METRIC "):
            lines.extend(wrapped(log_line[3]))
    text = "\n".join(lines)
    return text.partition("\n\nLook further:")[0] + "\n"


def wrapped(text: str, columns: int = 92) -> list[str]:
    """Break a line of the log where it is wider than the picture."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > columns:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: some characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def picture(text: str) -> str:
    """Draw a text as an SVG that needs no other file.

    Args:
        text: What a terminal showed.
    """
    lines = text.splitlines()
    width = round(2 * MARGIN_PX + max(map(columns, lines)) * CHARACTER_WIDTH_PX)
    height = 2 * MARGIN_PX + len(lines) * LINE_HEIGHT_PX
    drawn = []
    for number, line in enumerate(lines, start=1):
        y = MARGIN_PX + number * LINE_HEIGHT_PX - 5
        kind = ' class="command"' if line.startswith("$ ") else ""
        # Each cell of a table is placed by itself: glyphs of other fonts have widths of their own.
        before = 0
        for cell in re.split(r"(?=\|)", line):
            x = MARGIN_PX + before * CHARACTER_WIDTH_PX
            before += columns(cell)
            if cell.strip():
                length = f'textLength="{columns(cell) * CHARACTER_WIDTH_PX:.1f}"'
                drawn.append(f'<text x="{x:.1f}" y="{y}" {length}{kind}>{escape(cell)}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            "<title>What make demo prints</title>",
            "<style>",
            "text { font: 14px ui-monospace, monospace; fill: #e6e6e6; white-space: pre; }",
            ".command { fill: #8fd18f; font-weight: bold; }",
            "</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#1e2127"/>',
            *drawn,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(shown(sys.stdin.read()))
