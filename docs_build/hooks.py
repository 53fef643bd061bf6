"""Hooks of MkDocs: a page may link a file of the repository, as it does where the source is read.

A file outside `docs/` is published beside the pages as plain text.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from mkdocs.structure.files import File

if t.TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(\.\./([\w./-]+\w)(#[\w-]+)?\)")
"""A link from a page to a file of the repository; all pages are in one folder."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link."""
    pages = [file for file in files if file.is_documentation_page()]
    names = {match[1] for page in pages for match in LINK.finditer(page.content_string)}
    for name in sorted(names):
        if (ROOT / name).is_file():
            text = (ROOT / name).read_text(encoding="utf-8")
            files.append(File.generated(config, published(name), content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names the arguments
    """Let links lead to the published files; one to a file that is not there stays and fails."""

    def published_link(match: re.Match[str]) -> str:
        is_there = (ROOT / match[1]).is_file()
        return f"]({published(match[1])})" if is_there else match[0]

    return LINK.sub(published_link, markdown)


def published(name: str) -> str:
    """Return the path of a file of the repository on the site."""
    # MkDocs leaves out files whose name begins with a dot.
    return f"repository/{name.lstrip('.')}.txt"
