"""The layout of the code: which package may import which, and how large a module may be."""

from __future__ import annotations

import ast
import typing as t

import pytest

from support.documents import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PACKAGE = "tap_zoho_campaigns_recipients"
MAY_IMPORT = {
    "zoho": {"zoho"},
    "sync": {"sync", "zoho"},
    "singer": {"singer", "sync", "zoho"},
    "probing": {"probing", "zoho"},
}
"""The packages of the package, and which of them each may import. None imports the top."""

MOST_LINES = 400

OWNERS = {
    "requests": {"zoho/transport.py"},
    "xmltodict": {"zoho/bodies.py"},
    "redis": {"zoho/rate_limit/redis_store.py"},
    "sqlite3": {"zoho/rate_limit/sqlite_store.py"},
    "dotenv": {"singer/env_file.py", "singer/files.py"},
}
"""Libraries, and the only modules that know them."""


def sources(folder: Path) -> dict[str, str]:
    """Return the text of each module of a folder by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def imported(text: str) -> Iterator[str]:
    """Yield what a module imports, also for type checking and inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(package: str, modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which modules of a package each of its modules imports, by their paths."""
    found: dict[str, set[str]] = {}
    for path, text in modules.items():
        found[path] = set()
        for name in imported(text):
            if not name.startswith(f"{package}."):
                continue
            parts = name.split(".")[1:]
            for length in range(len(parts), 0, -1):
                place = "/".join(parts[:length])
                target = next(
                    (each for each in (f"{place}.py", f"{place}/__init__.py") if each in modules),
                    None,
                )
                if target:
                    found[path].add(target)
                    break
    return found


def cycle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """Return the modules of a cycle of imports, if there is one."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str] | None:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return None
        for each in sorted(graph[module]):
            if found := visit(each, [*path, module]):
                return found
        done.add(module)
        return None

    return next((found for module in graph if (found := visit(module, []))), None)


def wrong_arrows(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the imports that go against the direction of the packages."""
    return [
        f"{module} imports {target}"
        for module, targets in graph.items()
        for target in sorted(targets)
        if "/" in module
        and target.partition("/")[0] not in MAY_IMPORT[module.partition("/")[0]]
        and target != "__init__.py"
    ]


MODULES = sources(ROOT / PACKAGE)


def test_direction() -> None:
    """`singer` imports `sync` and `zoho`, `sync` imports `zoho`, and none of them the top."""
    graph = arrows(PACKAGE, MODULES)
    assert set(MAY_IMPORT) == {path.partition("/")[0] for path in graph if "/" in path}
    assert wrong_arrows(graph) == []


@pytest.mark.parametrize("package", [PACKAGE, "sandbox"])
def test_no_cycle(package: str) -> None:
    """No module imports itself by way of others, not even for type checking."""
    assert cycle(arrows(package, sources(ROOT / package))) is None


def test_sandbox_is_independent() -> None:
    """The sandbox shares no code with the tap."""
    for path, text in sources(ROOT / "sandbox").items():
        assert not [name for name in imported(text) if name.startswith(PACKAGE)], path


def test_length() -> None:
    """No module is longer than 400 lines."""
    lengths = {path: len(text.splitlines()) for path, text in MODULES.items()}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize(("library", "owners"), OWNERS.items(), ids=OWNERS)
def test_owner(library: str, owners: set[str]) -> None:
    """Each library has one place where it is known."""
    users = {
        path
        for path, text in MODULES.items()
        if any(name.partition(".")[0] == library for name in imported(text))
    }
    assert users == owners


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("from pkg.sync import scheduler", ["zoho/client.py imports sync/scheduler.py"]),
        ("import pkg.sync.scheduler", ["zoho/client.py imports sync/scheduler.py"]),
        (
            "import typing as t\nif t.TYPE_CHECKING:\n    from pkg.settings import Settings",
            ["zoho/client.py imports settings.py"],
        ),
        ("def late():\n    from pkg.tap import Tap", ["zoho/client.py imports tap.py"]),
        ("from pkg.zoho.errors import TapError", []),
    ],
)
def test_arrow_in_the_wrong_direction(text: str, wrong: list[str]) -> None:
    """An import against the direction is found, wherever in a module it is."""
    modules = {
        "zoho/client.py": text,
        "zoho/errors.py": "",
        "sync/scheduler.py": "from pkg.zoho.client import Client",
        "settings.py": "from pkg.sync.scheduler import Scheduler",
        "tap.py": "from pkg.settings import Settings",
    }
    graph = arrows("pkg", modules)
    assert wrong_arrows(graph) == wrong
    assert (cycle(graph) is not None) is bool(wrong)
