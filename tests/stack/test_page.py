"""The page that is made from the models, in a real browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import typing as t

import pytest

from sandbox import Account, Sandbox
from support.documents import ROOT
from support.incremental import add, run
from support.models import Dbt
from support.tap_runs import FakeClock
from support.warehouse import VENVS, load_into, serve_postgres

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SELECTED = sorted({path.stem for path in (ROOT / "schemas").glob("*.json")} - {"campaign_details"})
PHONE, DESK = 400, 1280
MEASURE = """
<script>
const marks = [...document.querySelectorAll('[aria-roledescription=bar]')].map(mark => {
  const box = mark.getBoundingClientRect();
  return [mark.closest('svg').getAttribute('aria-label'), mark.getAttribute('aria-label'),
    box.width, box.height, getComputedStyle(mark).fill];
});
const cut = [...document.querySelectorAll('figure text')].filter(text => {
  const own = text.getBoundingClientRect(), svg = text.closest('svg').getBoundingClientRect();
  return own.width && (own.left < svg.left - 0.5 || own.right > svg.right + 0.5);
}).map(text => text.textContent);
const wide = document.documentElement.scrollWidth > window.innerWidth;
const text = JSON.stringify({marks, cut, wide, width: window.innerWidth});
document.body.innerHTML = '<pre id="measured"></pre>';
document.getElementById('measured').textContent = text;
</script>
"""
"""Puts in the page's place what the browser has drawn."""


def browser() -> str:
    """Return a Chromium; in CI there must be one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("There is no Chromium.")
    pytest.skip("There is no Chromium.")


def open_page(path: Path, width: int, *options: str) -> tuple[str, str]:
    """Open a page; return its document and what the browser logged."""
    done = subprocess.run(
        [
            *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--window-size={width},900", *options, path.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dbt, Path]]:
    """A page, and the models that it is made from."""
    folder = tmp_path_factory.mktemp("page")
    clock, account = FakeClock(), Account()
    with Sandbox(account, clock=clock) as zoho, serve_postgres(folder / "postgres") as warehouse:
        add(account, "news", 3, recipients=60, opened=25, clicked=11)
        add(account, 'A & <b>"more"</b>', 9, recipients=30, opened=12, clicked=7)
        add(account, "test", 5, recipients=100, opened=40, clicked=15, type="abtesting")
        who = account.campaigns["news"].mail.contacts("openedcontacts")[0]
        account.click("news", who, url=f"https://shop.example/{'W' * 60}")
        messages = run(zoho, clock, streams=SELECTED).messages
        lines = "".join(json.dumps(each) + "\n" for each in messages)
        load_into(warehouse, folder, lines.encode())
        dbt = Dbt(warehouse, folder)
        dbt.run("run")
        page = folder / "page.html"
        subprocess.run(
            [VENVS / "dbt/bin/python", ROOT / "transform/page.py", "--output", page],
            env=dbt.environment,
            check=True,
            capture_output=True,
            timeout=180,
        )
        yield dbt, page


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_marks(made: tuple[Dbt, Path], tmp_path: Path, width: int) -> None:
    """Each mark says a number of the models and is as long as that; nothing is cut, no error."""
    dbt, page = made
    copy = tmp_path / "measured.html"
    copy.write_text(page.read_text().replace("</body>", MEASURE + "</body>"))
    document, log = open_page(copy, width, "--dump-dom")
    assert "CONSOLE" not in log
    found = re.search(r'<pre id="measured">(.*?)</pre>', document, re.DOTALL)
    assert found
    measured = json.loads(html.unescape(found[1]))
    assert not measured["wide"]
    assert measured["cut"] == []
    charts: dict[str, dict[str, tuple[float, float]]] = {}
    for chart, label, wide, high, fill in measured["marks"]:
        assert fill not in {"", "none", "rgb(0, 0, 0)"}, label
        charts.setdefault(chart, {})[label] = (wide, high)

    for row in dbt.rows("zoho_campaigns__campaigns"):
        steps = charts[f"Funnel of {row['campaign_name']}"]
        expected = {
            f"contacts: {row[name]}; step: {step}": row[name]
            for name, step in (
                *(("sent", "Sent"), ("delivered", "Delivered"), ("opened", "Opened")),
                *(("clicked", "Clicked"), ("opted_out", "Opted out"), ("complained", "Complained")),
            )
        }
        assert steps.keys() == expected.keys()
        unit = steps[f"contacts: {row['sent']}; step: Sent"][0] / row["sent"]
        for label, number in expected.items():
            assert steps[label][0] == pytest.approx(number * unit, abs=1.5), label

    names = {
        row["campaign_key"]: row["campaign_name"] for row in dbt.rows("zoho_campaigns__campaigns")
    }
    hours: dict[str, set[str]] = {}
    for row in dbt.rows("zoho_campaigns__engagement_by_hour"):
        if 0 <= row["hours_after_sending"] < 48:
            for what in ("opens", "clicks"):
                label = f"hour: {row['hours_after_sending']}; number: {row[what]}; what: {what}"
                hours.setdefault(names[row["campaign_key"]], set()).add(label)
    for name, labels in hours.items():
        assert charts[f"Opens and clicks by hour of {name}"].keys() == labels

    (test,) = dbt.rows("zoho_campaigns__ab_tests")
    sides = charts["A and B of test"]
    assert len(sides) == 4
    for label in sides:
        rate, side, what = re.fullmatch(
            r"rate: (.*); what: ([AB]) (opened|clicked); side: .", label
        ).groups()  # type: ignore[union-attr]
        column = f"{side.lower()}_{ {'opened': 'open', 'clicked': 'click'}[what] }_rate"
        assert float(rate) == pytest.approx(test[column], abs=1e-6)

    links: dict[str, int] = {}
    for row in dbt.rows("zoho_campaigns__links"):
        url = row["url"].removeprefix("https://")
        url = url if len(url) <= 44 else url[:43] + "…"
        links[url] = links.get(url, 0) + row["clicks"]
    assert charts["Clicks by link"].keys() == {
        f"clicks: {clicks}; url: {url}" for url, clicks in links.items()
    }


def test_nothing_is_fetched(made: tuple[Dbt, Path]) -> None:
    """The page is one file: nothing in it is fetched, and no script runs."""
    text = made[1].read_text()
    assert not re.findall(r"<(?:script|img|iframe|object|embed)\b|@import|url\((?!#)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {each for each in re.findall(r'(?:href|src)="([^"]*)"', text) if each[0] != "#"} == {
        "data:,"
    }
    assert "A &amp; &lt;b&gt;&quot;more&quot;&lt;/b&gt;" in text


def test_light_and_dark(made: tuple[Dbt, Path], tmp_path: Path) -> None:
    """The page has colors of its own for readers who want it dark."""
    probe = (
        "<script>document.title = getComputedStyle(document.body).backgroundColor;</script></body>"
    )
    copy = tmp_path / "colors.html"
    copy.write_text(made[1].read_text().replace("</body>", probe))
    found = [
        re.search("<title>(.*?)</title>", open_page(copy, DESK, "--dump-dom", *options)[0])
        for options in ([], ["--blink-settings=preferredColorScheme=0"])
    ]
    assert [each and each[1] for each in found] == ["rgb(245, 247, 249)", "rgb(18, 24, 30)"]
