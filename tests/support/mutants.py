"""The mutants that mutmut does not make: it changes nothing but functions without a decorator.

    python -m support.mutants               (make mutants runs it after mutmut)
    python -m support.mutants zoho/records.py    for one module

mutmut's own changes, made here to the rest of the modules: tables of codes and names, patterns,
figures, first values, and functions with a decorator. Each mutant is a process of its own, in a
copy of the repository in mutants/; one that takes a minute counts as killed.
"""

from __future__ import annotations

import difflib
import itertools
import os
import queue
import shutil
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = "tap_zoho_campaigns_recipients"
MODULES = {
    "zoho/responses.py": "test_responses.py",
    "zoho/bodies.py": "test_responses.py",
    "zoho/error_codes.py": "test_responses.py",
    "zoho/lock_words.py": "test_responses.py",
    "sync/bookmarks.py": "test_bookmarks.py",
    "sync/finished.py": "test_bookmarks.py",
    "zoho/pagination.py": "test_pagination.py",
    "zoho/records.py": "test_records.py",
    "zoho/field_values.py": "test_records.py",
}
"""The modules, and which file in tests/units tests each."""
LONGEST_SECONDS = 60
AT_ONCE = os.cpu_count() or 1
LEFT_ALONE = (cst.Import, cst.ImportFrom, cst.Annotation, cst.Decorator)
EMPTY = cst.Module([])


def changes(node: t.Any) -> Iterator[tuple[t.Any, t.Any]]:
    """Yield each part that mutmut leaves out with what it would make of it."""
    if isinstance(node, LEFT_ALONE) or (isinstance(node, cst.FunctionDef) and not node.decorators):
        return
    if isinstance(node, cst.If) and "TYPE_CHECKING" in EMPTY.code_for_node(node.test):
        return
    for kind, change in mutation_operators:
        if isinstance(node, kind):
            yield from ((node, changed) for changed in change(node))
    for child in node.children:
        yield from changes(child)


def mutants(module: str) -> Iterator[tuple[str, str]]:
    """Yield the code of each mutant of a module, with what is changed in it."""
    code = (ROOT / PACKAGE / module).read_text(encoding="utf-8")
    tree = cst.parse_module(code)
    for part, changed in changes(tree):
        mutant = tree.deep_replace(part, changed).code
        lines = difflib.unified_diff(code.splitlines(), mutant.splitlines(), lineterm="", n=0)
        yield mutant, "\n".join(list(lines)[2:])


def copies() -> queue.Queue[Path]:
    """Return folders with a copy of what the tests need, one for each process."""
    folders: queue.Queue[Path] = queue.Queue()
    for number in range(AT_ONCE):
        folder = ROOT / "mutants" / f"outside-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        for name in (PACKAGE, "schemas", "tests"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)
        folders.put(folder)
    return folders


def survives(folders: queue.Queue[Path], module: str, code: str) -> bool:
    """Whether the tests of a module pass with this code in its place."""
    folder = folders.get()
    place = folder / PACKAGE / module
    original = place.read_bytes()
    place.write_text(code, encoding="utf-8")
    tests = f"tests/units/{MODULES[module]}"
    options = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", *options, tests],
            cwd=folder,
            check=False,
            capture_output=True,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    finally:
        place.write_bytes(original)
        folders.put(folder)
    return done.returncode == 0


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run the mutants of each module, and show those that survive."""
    folders = copies()
    for module in sys.argv[1:] or MODULES:
        if not survives(folders, module, (ROOT / PACKAGE / module).read_text(encoding="utf-8")):
            sys.exit(f"The tests of {module} fail where nothing is changed")
        codes, differences = zip(*mutants(module), strict=True)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            survived = list(threads.map(partial(survives, folders, module), codes))
        say(f"\n{module}: {len(codes)} mutants that mutmut leaves out, {sum(survived)} survived")
        say("\n".join(itertools.compress(differences, survived)))


if __name__ == "__main__":
    main()
