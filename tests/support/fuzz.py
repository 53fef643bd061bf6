"""A fuzzer of the two parsers: any bytes end in records of the schema, or in one line.

    python -m support.fuzz 600      for ten minutes (make fuzz); what it learns is kept in .fuzz/
    python -m support.fuzz FILE…      once more with what it found

It begins with the sandbox's usual responses, and changes them so that they reach as much of the
package's code as can be. `parsing.check` says what must hold of each. An input that breaks it is
left in .fuzz/: make a test of it in test_hostile.py.
"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["tap_zoho_campaigns_recipients"]):
    from support.parsing import SCHEMAS, check, seeds

FOLDER = ROOT / ".fuzz"
LONGEST_BYTES = 8_000
LONGEST_SECONDS = 10
MOST_MIB = 2_000

WORDS: t.Final = (
    b'"code"', b'"status"', b'"message"', b'"error"', b'"list_of_details"', b'"recent_campaigns"',
    b'"campaign-reports"', b'"campaign-details"', b'"success"', b"null", b"true", b'"null"',
    b"\\u0000", b"\\ud800", b"1e999", b"-1", b"9999999999999999", b"\xef\xbb\xbf", b"<fl val=",
    b"<![CDATA[", b"]]>", b"<!DOCTYPE", b"<!ENTITY", b"<html", b"&#0;", b"&amp;", b"&a;",
    b'<?xml version="1.0" encoding="', b"utf-16", b"utf-7", b"contact", b"response",
)  # fmt: skip


def words(inputs: list[bytes]) -> list[bytes]:
    """Return what the parsers look for: the names in usual responses, and in the schemas."""
    names = {name for each in inputs for name in re.findall(rb"[A-Za-z_-]{3,40}", each)}
    names |= {name.encode() for schema in SCHEMAS.values() for name in schema["properties"]}
    return sorted({*WORDS, *names})


def prepare() -> Path:
    """Write the inputs to begin with, and the words; return the folder of the former."""
    inputs = seeds()
    corpus = FOLDER / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (corpus / f"usual-{number:03}").write_bytes(data)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in words(inputs))
    (FOLDER / "words").write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
    return corpus


def main() -> None:
    """Fuzz for some seconds, or read the files again."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0].isdecimal():
        seconds = arguments[0] if arguments else "600"
        arguments = [
            str(prepare()),
            f"-dict={FOLDER / 'words'}",
            f"-artifact_prefix={FOLDER}/",
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST_BYTES}",
            f"-timeout={LONGEST_SECONDS}",
            f"-rss_limit_mb={MOST_MIB}",
            "-print_final_stats=1",
        ]
    atheris.Setup([sys.argv[0], *arguments], lambda data: check(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
