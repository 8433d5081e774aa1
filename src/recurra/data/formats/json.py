"""A list of JSON objects: `[{...}, {...}]`, or an object with one key that holds such a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.format import Format
from recurra.data.formats.items import Items
from recurra.data.formats.lines import Line, Lines


class JsonListRows:
    """Rows of a JSON list."""

    columns = None

    def __init__(self, lines: Lines) -> None:
        self._lines, self._items = lines, Items(lines)
        self._none_yet = True

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next object; BadRowError when it is none, or holds NaN or a key twice."""
        try:
            line, row = self._items.next_item()
        except StopIteration:
            if self._none_yet:
                raise DataError(f"{self._lines.path}: the list has no rows.") from None
            raise
        self._none_yet = False
        if not isinstance(row, dict):
            shown = repr(row)[:40]
            raise self._lines.bad(f'expected a JSON object like {{"text": "..."}}, got {shown}.', line)
        return line, row


JSON = Format(
    doc="a list of JSON objects, alone or under one key of an object",
    suffixes=(".json",),
    open=lambda lines, options: JsonListRows(lines),
    options=("paths", "encoding"),
    by_line=False,
)
