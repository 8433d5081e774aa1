"""Tab-separated values: a tab ends a cell, a line break ends a row, and a quote is a character like any other.

This is what data sets call TSV (GLUE, the SMS Spam Collection): no cell can hold a tab or a line break.
"""

from __future__ import annotations

from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines, open_lines
from recurra.data.formats.table import TableRows


def read_cells(lines: Lines) -> tuple[Line, list[str]]:
    """The cells of the next line that is not blank."""
    line = next(lines)
    while not line.text:
        line = next(lines)
    return line, line.text.split("\t")


TSV = Format(
    doc="tab-separated values; quotes are ordinary characters",
    suffixes=(".tsv",),
    open=lambda lines, options: TableRows(lines, options.columns, read_cells),
    options=("columns", "paths", "encoding"),
    opened=lambda path, options: open_lines(path, encoding=options.encoding, guess=True),
    marked=True,
)
