"""The repository's own documents, as tests read them."""

from __future__ import annotations

from pathlib import Path

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
