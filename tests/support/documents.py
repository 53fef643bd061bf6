"""The repository's own documents, as tests read them."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    """A file's text.

    Args:
        name: Its path from the top of the repository.
    """
    return (ROOT / name).read_text(encoding="utf-8")


def block(document: str, name: str) -> str:
    """What stands between the marks `<!-- name -->` and `<!-- /name -->`."""
    _, _, after = document.partition(f"<!-- {name} -->")
    inside, _, _ = after.partition(f"<!-- /{name} -->")
    return inside.strip()


def code(document: str, name: str) -> str:
    """The fenced code that is all there is between two such marks."""
    fence, *lines, end = block(document, name).splitlines()
    assert fence.startswith("```")
    assert end == "```"
    return "\n".join(lines)


def table(document: str, name: str) -> list[list[str]]:
    """The cells of a table between two such marks, without its head and without back quotes."""
    return [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in block(document, name).splitlines()[2:]
    ]


DOCUMENTS = ("README.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")))
"""What users read."""

MARKED = re.compile(r"<!-- (?P<name>[\w.-]+) -->\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
"""Fenced code after a mark."""


class Fence(t.NamedTuple):
    """Fenced code of a document."""

    document: str
    kind: str
    """The language, such as bash."""
    name: str
    """Of the mark before it; empty without one."""
    text: str


def fences(*kinds: str) -> list[Fence]:
    """All fenced code of the documents in some languages.

    Args:
        *kinds: The languages.
    """
    return [fence for name in DOCUMENTS for fence in _fences(name) if fence.kind in kinds]


def _fences(document: str) -> Iterator[Fence]:
    text = read(document)
    names = {match.start("text"): match["name"] for match in MARKED.finditer(text)}
    for match in re.finditer(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        yield Fence(document, match[1], names.get(match.start(2), ""), match[2])
