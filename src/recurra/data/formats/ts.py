"""`.ts`, the format of the UCR and UEA archives of time series: a header of @tags, then a series a line.

Channels stand one after the other with colons between, numbers with commas, the label last. `?` or NaN is a number that
is missing. Source: aeon-toolkit.org, "The .ts format"; sktime's page of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines

VALUES, LABEL = "values", "label"
_KNOWN = (
    "problemname",
    "timestamps",
    "missing",
    "univariate",
    "dimensions",
    "dimension",
    "equallength",
    "serieslength",
    "classlabel",
    "targetlabel",
    "data",
)


class TsRows:
    """Series as steps (T, F), lists of numbers or None, with their labels.

    Raises DataError for a header without @data, for stamps in the data, and for an unknown tag.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._tags = self._header()
        self._labelled = self._is("classlabel") or self._is("targetlabel")
        self.columns = (VALUES, LABEL) if self._labelled else (VALUES,)
        if self._is("timestamps"):
            raise DataError(
                f"{lines.path}: has a stamp in front of each number (@timeStamps true), which is not read. Write the "
                "numbers alone, or a CSV file in long form."
            )

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next series; BadRowError for one with other channels than the header says, or without a label."""
        line = next(self._lines)
        while not line.text.strip() or line.text.startswith(("#", "%")):
            line = next(self._lines)
        parts = line.text.strip().split(":")
        label = parts.pop().strip() if self._labelled else None
        if not parts:
            raise self._lines.bad("expected numbers, a colon and a label, found no colon.", line)
        self._check_channels(len(parts), line)
        channels = [_numbers(part) for part in parts]
        longest = max(map(len, channels))
        if any(len(channel) != longest for channel in channels):
            sizes = ", ".join(str(len(channel)) for channel in channels[:8])
            raise self._lines.bad(f"its channels have {sizes} numbers; expected as many in each.", line)
        steps = [list(step) for step in zip(*channels, strict=True)]
        return line, {VALUES: steps} | ({LABEL: label} if self._labelled else {})

    def _check_channels(self, number: int, line: Line) -> None:
        wanted = self._tags.get("dimensions", self._tags.get("dimension", ""))
        if self._is("univariate"):
            wanted = "1"
        if wanted.isdecimal() and number != int(wanted):
            end = "numbers and a label" if self._labelled else "numbers"
            raise self._lines.bad(f"has {number} channels, and the header says {wanted}; expected {end}.", line)

    def _header(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        for line in self._lines:
            text = line.text.strip()
            if not text or text.startswith(("#", "%")):
                continue
            name, _, value = text.partition(" ")
            if not name.startswith("@"):
                raise DataError(f"{self._lines.path}:{line.number}: expected @data before the first series.")
            tag = name[1:].lower()
            if tag not in _KNOWN:
                raise DataError(
                    f"{self._lines.path}:{line.number}: unknown tag {name!r}. Known: @{', @'.join(_KNOWN)}."
                )
            if tag == "data":
                return tags
            tags[tag] = value.strip()
        raise DataError(f"{self._lines.path}: has no line @data; expected a header that ends with it.")

    def _is(self, tag: str) -> bool:
        return self._tags.get(tag, "").split(" ")[0].lower() == "true"


def _numbers(part: str) -> list[str]:
    """As they are written: what reads them says which one is no number."""
    return [cell.strip() for cell in part.split(",")] if part.strip() else []


TS = Format(
    doc="series of the UCR and UEA archives: a header of @tags, channels with colons between, the label last",
    suffixes=(".ts",),
    open=lambda lines, columns: TsRows(lines),
)
