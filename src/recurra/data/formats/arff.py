"""ARFF, as the UCR and UEA archives have series: numbers in attributes, or channels in a relational attribute.

Source: waikato.github.io/weka-wiki/formats_and_processing/arff_stable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines
from recurra.data.formats.ts import LABEL, VALUES

_ATTRIBUTE = re.compile(r"""@attribute\s+('[^']*'|"[^"]*"|\S+)\s+(.*)""", re.IGNORECASE)
_NUMERIC = ("numeric", "real", "integer")


class ArffRows:
    """Series as steps (T, F) with their labels.

    Raises DataError for a header without @data, or with attributes that are no numbers.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        kinds = self._header()
        self._label = next((k for k, kind in reversed(list(enumerate(kinds))) if kind.startswith("{")), None)
        others = [kind for k, kind in enumerate(kinds) if k != self._label]
        self._relational = others == ["relational"]
        if not self._relational and not all(kind in _NUMERIC for kind in others):
            wrong = next(kind for kind in others if kind not in _NUMERIC)
            raise DataError(f"{lines.path}: has an attribute of '{wrong[:40]}'; expected numbers, and one of classes.")
        self._width = len(kinds)
        self.columns = (VALUES,) if self._label is None else (VALUES, LABEL)

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next series; BadRowError for a sparse one, or one with another number of cells than the header has."""
        line = next(self._lines)
        while not line.text.strip() or line.text.startswith("%"):
            line = next(self._lines)
        text = line.text.strip()
        if text.startswith("{"):
            raise self._lines.bad("is sparse, {place value, ...}; expected all numbers of the series.", line)
        return line, self._channels(text, line) if self._relational else self._one_channel(text, line)

    def _one_channel(self, text: str, line: Line) -> Mapping[str, Any]:
        cells = [cell.strip().strip("'\"") for cell in text.split(",")]
        if len(cells) != self._width:
            raise self._lines.bad(f"has {len(cells)} cells, and the header {self._width} attributes.", line)
        label = {} if self._label is None else {LABEL: cells.pop(self._label)}
        return {VALUES: cells} | label

    def _channels(self, text: str, line: Line) -> Mapping[str, Any]:
        quote = text[0]
        body, found, rest = text[1:].partition(quote)
        if quote not in "'\"" or not found:
            raise self._lines.bad("expected channels in quotes, with \\n between, then the class.", line)
        channels = [[cell.strip() for cell in part.split(",")] for part in body.split("\\n")]
        if len({len(channel) for channel in channels}) > 1:
            sizes = ", ".join(str(len(channel)) for channel in channels[:8])
            raise self._lines.bad(f"its channels have {sizes} numbers; expected as many in each.", line)
        label = {} if self._label is None else {LABEL: rest.lstrip(", ").strip().strip("'\"")}
        return {VALUES: [list(step) for step in zip(*channels, strict=True)]} | label

    def _header(self) -> list[str]:
        """The type of each attribute; of a relational one `relational`."""
        kinds: list[str] = []
        inside = False
        for line in self._lines:
            text = line.text.strip()
            if text.lower().startswith("@data"):
                return kinds
            if text.lower().startswith("@end"):
                inside = False
            elif (found := _ATTRIBUTE.match(text)) and not inside:
                kinds.append(found[2].strip().lower() if not found[2].startswith("{") else found[2])
                inside = kinds[-1] == "relational"
            elif text and not text.startswith("%") and not inside and not text.lower().startswith("@relation"):
                raise DataError(f"{self._lines.path}:{line.number}: expected @relation, @attribute or @data.")
        raise DataError(f"{self._lines.path}: has no line @data; expected a header that ends with it.")


ARFF = Format(
    doc="series in ARFF (Weka, UCR and UEA archives): a number an attribute, or channels; a class",
    suffixes=(".arff",),
    open=lambda lines, options: ArffRows(lines),
)
