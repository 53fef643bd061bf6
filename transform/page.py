"""Write a page to look at from the models: `python transform/page.py --output page.html`.

It is one HTML file that fetches nothing. The warehouse is the one of the dbt profile, so any that
dbt connects to will do; the models must have been built.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import io
import math
import re
import sys
import typing as t
import warnings
import zlib
from decimal import Decimal
from pathlib import Path

import altair as alt
import vl_convert
from dbt.cli.main import dbtRunner

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, t.Any]

HERE = Path(__file__).resolve().parent
CAMPAIGNS = 12
"""The latest campaigns, whose funnels are shown."""
TIMELINES = 6
"""The latest campaigns whose opens and clicks are shown by hour."""
HOURS = 48
MOST_LINKS = 12
MOST_PLACES = 12
MOST_CHARACTERS = 44
STEP_PX = 22
WIDTH_PX = 200
PADDING = {"left": 22, "right": 12, "top": 2, "bottom": 2}
"""The reader's font may be wider than the one that texts are measured in."""
NAMES = alt.Axis(ticks=False, domain=False, labelPadding=6, minExtent=84)
HOUR_MARKS = alt.Axis(
    values=list(range(0, HOURS + 1, 12)), labelExpr="datum.value + ' h'", grid=False
)
STEPS = {
    "sent": "Sent",
    "delivered": "Delivered",
    "opened": "Opened",
    "clicked": "Clicked",
    "opted_out": "Opted out",
    "complained": "Complained",
}

QUERIES = {
    "campaigns": "select * from {{ ref('zoho_campaigns__campaigns') }} "
    "where sent_at is not null order by sent_at desc, campaign_key",
    "hours": "select * from {{ ref('zoho_campaigns__engagement_by_hour') }} order by 1, 2",
    "tests": "select * from {{ ref('zoho_campaigns__ab_tests') }} "
    "order by sent_at desc, campaign_key",
    "links": "select url, sum(contacts) as contacts, sum(clicks) as clicks "
    "from {{ ref('zoho_campaigns__links') }} group by url order by 3 desc, 1",
    "places": "select location, sum(opens) as opens "
    "from {{ ref('zoho_campaigns__locations') }} group by location order by 2 desc, 1",
}

STYLE = """
:root { color-scheme: light dark; --text: #1c2733; --quiet: #5b6875; --line: #d8dee5;
  --page: #f5f7f9; --card: #fff; --main: #2563a8; --second: #c2571a; --soft: #a9c3de; }
@media (prefers-color-scheme: dark) { :root { --text: #e6ebf0; --quiet: #a3b0bd; --line: #36414d;
  --page: #12181e; --card: #1b232b; --main: #6aaef0; --second: #f09a5e; --soft: #35506b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
p { margin: 0 0 1rem; color: var(--quiet); max-width: 44rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0 0 1.5rem; }
a { color: var(--main); }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 1rem; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem 1rem; min-width: 8rem; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.grid { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20.5rem, 100%), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .9rem 1rem; min-width: 0; }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
figcaption small { display: block; font-weight: 400; color: var(--quiet); }
figure svg { display: block; max-width: 100%; height: auto; margin: .5rem 0; }
.key { display: flex; gap: 1rem; font-size: .85rem; color: var(--quiet); margin-top: .3rem; }
.key span::before { content: ""; display: inline-block; width: .75rem; height: .75rem;
  border-radius: .15rem; margin-right: .35rem; background: var(--main); vertical-align: -.05rem; }
.key span + span::before { background: var(--second); }
details { font-size: .85rem; overflow-x: auto; }
summary { cursor: pointer; color: var(--main); }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--main); outline-offset: 2px; }
table { border-collapse: collapse; margin-top: .5rem; }
th, td { padding: .15rem .9rem .15rem 0; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
th { color: var(--quiet); font-weight: 500; }
"""


class PageError(Exception):
    """Why no page was written, and what to do."""


def rows_of_models(options: Sequence[str]) -> dict[str, list[Row]]:
    """Run the page's queries; a model that was left out has no rows.

    Args:
        options: Options of dbt: where the project and the profile are.

    Raises:
        PageError: dbt cannot read the project, or a query failed.
    """
    parsed = dbtRunner().invoke(["--quiet", "parse", *options])
    if not parsed.success:
        message = f"dbt cannot read the project: {parsed.exception}"
        raise PageError(message)
    manifest = t.cast("t.Any", parsed.result)
    models = {node.name for node in manifest.nodes.values()}
    runner = dbtRunner(manifest=manifest)
    found: dict[str, list[Row]] = {}
    for name, query in QUERIES.items():
        model = query.partition("ref('")[2].partition("'")[0]
        if model not in models:
            found[name] = []
            continue
        # It prints the rows.
        with contextlib.redirect_stdout(io.StringIO()):
            shown = runner.invoke(["--quiet", "show", "--inline", query, "--limit", "-1", *options])
        if not shown.success:
            message = (
                f"{model} cannot be read. Run dbt build, then this again. {shown.exception or ''}"
            )
            raise PageError(message.strip())
        table = t.cast("t.Any", shown.result).results[0].agate_table
        found[name] = [
            dict(zip(table.column_names, row.values(), strict=True)) for row in table.rows
        ]
    return found


# Charts


def svg(chart: alt.Chart | alt.LayerChart, label: str) -> str:
    """Draw a chart; its colors are those of the page, in light and dark."""
    quiet = {"labelColor": "var(--quiet)", "tickColor": "var(--line)", "domainColor": "var(--line)"}
    drawn = (
        chart.configure(background="transparent", font="system-ui, sans-serif", padding=PADDING)
        .configure_view(stroke=None)
        .configure_axis(
            **quiet, gridColor="var(--line)", labelFontSize=12, labelLimit=140, title=None
        )
        .configure_text(fill="var(--text)", fontSize=12)
    )
    text: str = vl_convert.vegalite_to_svg(drawn.to_json())
    # Each chart numbers its clip paths from 0, and all are in one document.
    text = re.sub(r'(?<=id="|rl\(#)clip', f"c{zlib.crc32(label.encode()):x}-", text)
    return text.replace("<svg ", f'<svg role="group" aria-label="{html.escape(label)}" ', 1)


def bars(rows: list[Row], name: str, value: str, *, text: str = ",d") -> alt.LayerChart:
    """Return horizontal bars with their numbers beside them, in the order of the rows."""
    highest = max((row[value] or 0 for row in rows), default=0)
    room = alt.Scale(domain=[0, max(highest, 0.001) * 1.3], nice=False)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y(
            f"{name}:N",
            sort=None,
            axis=NAMES,
        ),
        x=alt.X(
            f"{value}:Q",
            axis=None,
            scale=room,
        ),
    )
    return alt.layer(
        base.mark_bar(color="var(--main)", cornerRadiusEnd=2, height=STEP_PX * 0.65),
        base.mark_text(align="left", dx=5).encode(text=alt.Text(f"{value}:Q", format=text)),
    ).properties(width=WIDTH_PX, height=max(len(rows), 1) * STEP_PX)


def hourly(rows: list[Row]) -> alt.Chart:
    """Return opens and clicks by the hour after sending, as bars behind each other."""
    values = [
        {"hour": row["hours_after_sending"], "what": what, "number": row[column]}
        for row in rows
        for what, column in (("opens", "opens"), ("clicks", "clicks"))
    ]
    return (
        alt.Chart(alt.Data(values=values))
        .mark_bar(width=5)
        .encode(
            x=alt.X(
                "hour:Q",
                scale=alt.Scale(domain=[0, HOURS]),
                axis=HOUR_MARKS,
            ),
            y=alt.Y("number:Q", stack=None, axis=alt.Axis(tickCount=3, format="d", tickMinStep=1)),
            color=alt.Color(
                "what:N",
                legend=None,
                scale=alt.Scale(domain=["opens", "clicks"], range=["var(--main)", "var(--second)"]),
            ),
        )
        .properties(width=WIDTH_PX + 70, height=120)
    )


def sides(test: Row) -> alt.LayerChart:
    """Return the rates of the two variants of an A/B campaign."""
    values = [
        {"what": f"{side.upper()} {what}", "side": side, "rate": test[f"{side}_{rate}"]}
        for what, rate in (("opened", "open_rate"), ("clicked", "click_rate"))
        for side in ("a", "b")
        if test[f"{side}_{rate}"] is not None
    ]
    chart = bars(values, "what", "rate", text=".1%")
    color = alt.Color(
        "side:N",
        legend=None,
        scale=alt.Scale(domain=["a", "b"], range=["var(--main)", "var(--second)"]),
    )
    chart.layer[0] = chart.layer[0].encode(color=color)
    return chart


# The page


def plain(row: Row) -> Row:
    """Return a row with numbers that JSON can hold: whole ones, and rates."""
    return {
        name: (float if name.endswith("_rate") else int)(value)
        if isinstance(value, Decimal)
        else value
        for name, value in row.items()
    }


def shown(value: object) -> str:
    """Return a value as a cell of a table."""
    if value is None:
        return "—"
    if isinstance(value, float) and not math.isnan(value):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else html.escape(str(value))


def name_of(campaign: Row) -> str:
    """Return the name of a campaign, in one line."""
    return " ".join((campaign["campaign_name"] or "").split()) or "(without a name)"


def numbers(rows: list[Row], columns: dict[str, str]) -> str:
    """Return the numbers of a chart as a table, for those who cannot see it."""
    head = "".join(f'<th scope="col">{title}</th>' for title in columns.values())
    body = "".join(
        "<tr>" + "".join(f"<td>{shown(row[name])}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<details><summary>Numbers</summary>{table}</details>"


def figure(caption: str, small: str, drawn: str, table: str, key: Sequence[str] = ()) -> str:
    """Return a chart with its caption and its numbers."""
    if key:
        drawn = (
            '<div class="key">' + "".join(f"<span>{each}</span>" for each in key) + "</div>" + drawn
        )
    small = f"<small>{html.escape(small)}</small>" if small else ""
    return f"<figure><figcaption>{html.escape(caption)}{small}</figcaption>{drawn}{table}</figure>"


def funnels(found: dict[str, list[Row]]) -> str:
    """Return the funnel of each of the latest campaigns."""
    figures = []
    for campaign in found["campaigns"][:CAMPAIGNS]:
        steps = [
            {"step": title, "contacts": campaign[step]}
            for step, title in STEPS.items()
            if campaign[step] is not None
        ]
        small = f"{campaign['sent_at']:%d %b %Y}"
        if campaign["open_rate"] is not None:
            small += f" · {campaign['open_rate']:.1%} opened"
        if campaign["is_ab_test"]:
            small += " · A/B test, with its variants"
        if campaign["agrees_with_report"] is False:
            small += " · Zoho's report has other counts"
        drawn = svg(bars(steps, "step", "contacts"), f"Funnel of {name_of(campaign)}")
        table = numbers(steps, {"step": "Step", "contacts": "Contacts"})
        figures.append(figure(name_of(campaign), small, drawn, table))
    return "".join(figures)


def timelines(found: dict[str, list[Row]]) -> str:
    """Return opens and clicks over the hours after sending, for the latest campaigns."""
    figures: list[str] = []
    for campaign in found["campaigns"]:
        rows = [
            each
            for each in found["hours"]
            if each["campaign_key"] == campaign["campaign_key"]
            and 0 <= each["hours_after_sending"] < HOURS
        ]
        if not rows or len(figures) == TIMELINES:
            continue
        drawn = svg(hourly(rows), f"Opens and clicks by hour of {name_of(campaign)}")
        columns = {"hours_after_sending": "Hour", "opens": "Opens", "clicks": "Clicks"}
        figures.append(
            figure(name_of(campaign), "", drawn, numbers(rows, columns), ("Opens", "Clicks"))
        )
    return "".join(figures)


def comparisons(found: dict[str, list[Row]]) -> str:
    """Return each A/B test."""
    return "".join(
        figure(
            name_of(test),
            f"{test['a_sent'] or 0:,} contacts got A, {test['b_sent'] or 0:,} got B",
            svg(sides(test), f"A and B of {name_of(test)}"),
            numbers(
                [
                    {"what": what, "a": test[f"a_{name}"], "b": test[f"b_{name}"]}
                    for what, name in (
                        ("Sent", "sent"),
                        ("Opened", "opened"),
                        ("Clicked", "clicked"),
                        ("Open rate", "open_rate"),
                        ("Click rate", "click_rate"),
                    )
                ],
                {"what": "", "a": "A", "b": "B"},
            ),
            ("A", "B"),
        )
        for test in found["tests"]
        if test["a_sent"] is not None
    )


def ranking(rows: list[Row], name: str, value: str, caption: str, most: int) -> str:
    """Return the first rows as bars, if there are any."""
    if not rows:
        return ""
    first = [{name: _shortened(str(row[name])), value: row[value]} for row in rows[:most]]
    small = f"the first {most} of {len(rows)}" if len(rows) > most else ""
    table = numbers(rows[:most], {name: "", value: value.capitalize()})
    return figure(caption, small, svg(bars(first, name, value), caption), table)


def _shortened(text: str) -> str:
    text = text.removeprefix("https://").removeprefix("http://")
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def totals(campaigns: list[Row]) -> str:
    """Return the sums over all campaigns."""

    def total(name: str) -> int | None:
        values = [each[name] for each in campaigns if each[name] is not None]
        return sum(values) if values else None

    def rate(part: int | None, of: int | None) -> float | None:
        return part / of if part is not None and of else None

    tiles = {
        "Campaigns": len(campaigns),
        "Mails sent": total("sent"),
        "Opened, of delivered": rate(total("opened"), total("delivered")),
        "Clicked, of delivered": rate(total("clicked"), total("delivered")),
        "Opted out, of delivered": rate(total("opted_out"), total("delivered")),
    }
    return "".join(
        f"<div><dt>{name}</dt><dd>{shown(value)}</dd></div>" for name, value in tiles.items()
    )


def latest(most: int, campaigns: list[Row]) -> str:
    """Say of which campaigns something is."""
    number = len(campaigns)
    return f"the latest {most} of {number} campaigns" if number > most else "all campaigns"


def as_of(campaigns: list[Row]) -> str:
    """Say when Zoho was last asked; nothing where no report is loaded."""
    times = [each["report_read_at"] for each in campaigns if each["report_read_at"] is not None]
    return f", as of {max(times):%d %b %Y, %H:%M} UTC" if times else ""


def page(found: dict[str, list[Row]]) -> str:
    """Return the page."""
    found = {name: [plain(row) for row in rows] for name, rows in found.items()}
    campaigns = found["campaigns"]
    sections: list[tuple[str, str, str, Callable[[], str]]] = [
        (
            "funnels",
            "Funnels",
            f"How far the mails of {latest(CAMPAIGNS, campaigns)} came, by contact.",
            lambda: funnels(found),
        ),
        (
            "hours",
            "After sending",
            (
                f"Opens and clicks of {latest(TIMELINES, campaigns)}, in each of the first {HOURS}"
                " hours after a contact's mail was sent."
            ),
            lambda: timelines(found),
        ),
        (
            "tests",
            "A/B tests",
            "Shares of the delivered mails of each variant.",
            lambda: comparisons(found),
        ),
        (
            "links",
            "Links and places",
            "All campaigns together.",
            lambda: (
                ranking(found["links"], "url", "clicks", "Clicks by link", MOST_LINKS)
                + ranking(found["places"], "location", "opens", "Opens by country", MOST_PLACES)
            ),
        ),
    ]
    drawn = [(key, title, text, make()) for key, title, text, make in sections]
    drawn = [each for each in drawn if each[-1]]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, *_ in drawn)
    body = "".join(
        f'<section id="{key}"><h2>{title}</h2><p>{text}</p>'
        f'<div class="grid">{figures}</div></section>'
        for key, title, text, figures in drawn
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>E-mail campaigns</title><style>{STYLE}</style></head><body><main>"
        f"<h1>E-mail campaigns</h1><p>What became of the mails that Zoho Campaigns sent"
        f"{as_of(campaigns)}.</p>"
        f"<nav>{links}</nav><dl>{totals(campaigns)}</dl>{body}</main></body></html>\n"
    )


def main() -> int:
    """Write the page; return the exit code."""
    parser = argparse.ArgumentParser(description="Write an HTML page from the models.")
    parser.add_argument("--output", type=Path, default=Path("campaigns.html"), help="the file")
    parser.add_argument("--project-dir", default=str(HERE), help="where dbt_project.yml is")
    parser.add_argument("--profiles-dir", default=str(HERE), help="where profiles.yml is")
    chosen = parser.parse_args()
    options = ["--project-dir", chosen.project_dir, "--profiles-dir", chosen.profiles_dir]
    # dbt opens its log anew for each query, and the one before is closed late.
    warnings.simplefilter("ignore", ResourceWarning)
    try:
        found = rows_of_models(options)
    except PageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    chosen.output.write_text(page(found), encoding="utf-8")
    sys.stdout.write(f"{chosen.output} was written.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
