"""Plain text: one line is one record with the field `text`. A blank line is a record too, so that lines keep count.

A line may have 128 MiB: a corpus may be one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.data.formats.format import Format
from recurra.data.formats.lines import MAX_TEXT_LINE_BYTES, Line, Lines, open_lines


class TextRows:
    """Rows of a text file."""

    columns = ("text",)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next line, without its line break."""
        line = next(self._lines)
        return line, {"text": line.text}


TEXT = Format(
    doc="plain text: each line is one record with the field `text`",
    suffixes=(".txt", ".text"),
    open=lambda lines, options: TextRows(lines),
    options=("encoding",),
    opened=lambda path, options: open_lines(path, MAX_TEXT_LINE_BYTES, encoding=options.encoding),
    marked=True,
)
