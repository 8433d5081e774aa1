"""Small pieces of HTML for notebooks; everything is escaped."""

from __future__ import annotations

from recurra.base.contracts import Table
from recurra.report.markup import Markup, join, tag
from recurra.report.scores import cells

# Rows of a table that a notebook shows; report.html has all of them.
MOST_ROWS = 30


def heading(text: str) -> Markup:
    """A line in bold."""
    return tag("div", tag("b", text))


def table_html(table: Table) -> Markup:
    """A table, its numbers to the right."""
    rows = [tag("tr", *(_cell(cell, k) for k, cell in enumerate(row))) for row in cells(table)[:MOST_ROWS]]
    head = tag("tr", *(tag("th", name, scope="col") for name in table.columns))
    left = len(table.rows) - MOST_ROWS
    more = tag("div", f"... {left} more rows") if left > 0 else join()
    caption = tag("div", table.caption) if table.caption else join()
    return join(caption, tag("table", tag("thead", head), tag("tbody", *rows)), more)


def _cell(text: str, place: int) -> Markup:
    return tag("td", text, style="text-align: left" if place == 0 else "text-align: right")
