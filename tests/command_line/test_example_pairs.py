"""The settings of the shipped examples, combined in pairs."""

from __future__ import annotations

import gzip
import itertools
import json
import typing as t
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import yaml

from sandbox import Sandbox, make_account
from support.documents import ROOT
from support.tap_runs import catalog, run_process, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["plugins"]["extractors"][0]
    for path in sorted((ROOT / "examples").glob("*.yml"))
}
SHAPING = {"flattened", "pseudonyms"}


@pytest.fixture
def zoho() -> Iterator[Sandbox]:
    """Two campaigns."""
    with Sandbox(make_account(2, 20)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("pair", list(itertools.combinations(EXAMPLES, 2)), ids="+".join)
def test_pairs(zoho: Sandbox, tmp_path: Path, pair: tuple[str, str]) -> None:
    """Two examples together do what both say, or are refused by name before any request."""
    config, streams = settings(zoho), None
    for name in pair:
        text = json.dumps(EXAMPLES[name].get("config", {}))
        text = text.replace("$RECIPIENT_SALT", "salt").replace(
            "$MELTANO_PROJECT_ROOT", str(tmp_path)
        )
        config |= json.loads(text)
        streams = [each.partition(".")[0] for each in EXAMPLES[name].get("select", [])] or streams
    arguments = []
    if streams:
        path = tmp_path / "chosen.json"
        path.write_text(json.dumps(catalog(streams)))
        arguments = ["--catalog", str(path)]
    outcome = run_process(config, tmp_path, *arguments)
    if "batches" in pair and SHAPING & set(pair):
        assert outcome.exit_code == 2
        assert "batch_config cannot be combined with" in outcome.log[-1]
        assert zoho.requests == []
        return
    assert outcome.exit_code == 0
    rows = [record for records in outcome.records.values() for record in records]
    for message in outcome.messages:
        for url in message.get("manifest", []):
            with gzip.open(url2pathname(urlsplit(url).path), "rt") as file:
                rows += map(json.loads, file)
    assert any("contact_email" in row for row in rows)
    if streams:
        assert {each["stream"] for each in outcome.messages if "stream" in each} == set(streams)
    if "pseudonyms" in pair:
        said = json.dumps(rows)
        assert not any(str(each.email) in said for each in zoho.account.contacts)
    if "flattened" in pair:
        assert not any(isinstance(value, dict | list) for row in rows for value in row.values())
