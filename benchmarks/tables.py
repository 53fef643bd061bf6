"""Tables in Markdown, and how numbers are written in them."""

from __future__ import annotations

from dataclasses import dataclass, field

MEGABYTE = 1_000_000
TENTHS_FROM = 10
UNITS_FROM = 100


@dataclass(slots=True)
class Table:
    """A table with a title and a sentence about it."""

    title: str
    says: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row; cells that are left out are empty."""
        self.rows.append(cells + ("",) * (len(self.columns) - len(cells)))

    def markdown(self) -> str:
        """Write it."""
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, rule, *self.rows)]
        return "\n".join((f"## {self.title}", "", self.says, "", *lines, ""))


def count(value: float) -> str:
    """Write a whole number, in groups of three digits."""
    return f"{value:,.0f}".replace(",", " ")


def number(value: float) -> str:
    """Write a number with about three digits that mean something."""
    if abs(value) >= UNITS_FROM:
        return count(value)
    return f"{value:.1f}" if abs(value) >= TENTHS_FROM else f"{value:.2f}"


def megabytes(size: float) -> str:
    """Write a number of bytes in millions."""
    return number(size / MEGABYTE)
