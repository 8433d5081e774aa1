"""`.tsf`, the format of the Monash archive of series: a header of @tags, then a series a line.

The values of attributes stand first, with colons between, then the numbers with commas. `?` is one that is missing.
A date of the first step makes stamps, by the @frequency of the header; without one, steps are 0, 1, 2, ...
Source: Godahewa et al. 2021, arXiv:2105.06643, section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines

VALUE, TIME = "value", "time"
_TAGS = ("relation", "missing", "equallength", "frequency", "horizon")
_STAMP = "%Y-%m-%d %H-%M-%S"


class TsfRows:
    """Series as lists of numbers or None, with their stamps and attributes.

    Raises DataError for a header without @data, an unknown tag, or a frequency that is not known.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._attributes: list[tuple[str, str]] = []
        tags = self._header()
        self._frequency = None
        if "frequency" in tags:
            from recurra.data.calendar.frequency import frequency_of  # with NumPy, which no other format's name needs

            try:
                self._frequency = frequency_of(tags["frequency"])
            except ConfigError as error:
                raise DataError(f"{lines.path}: @{error}") from None
        self.columns = (*(name for name, kind in self._attributes if kind != "date"), TIME, VALUE)

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next series; BadRowError for one with other attributes than the header says."""
        line = next(self._lines)
        while not line.text.strip() or line.text.startswith("#"):
            line = next(self._lines)
        *attributes, numbers = line.text.strip().split(":")
        if len(attributes) != len(self._attributes):
            raise self._lines.bad(
                f"has {len(attributes)} attributes in front of its numbers, and the header names "
                f"{len(self._attributes)}; expected as many, with colons between.",
                line,
            )
        values = [None if cell.strip() in ("?", "") else cell.strip() for cell in numbers.split(",")]
        found: dict[str, Any] = {}
        stamps: list[Any] = list(range(len(values)))
        for (name, kind), cell in zip(self._attributes, attributes, strict=True):
            if kind == "date":
                stamps = self._stamps(cell.strip(), len(values), line)
            else:
                found[name] = cell.strip()
        return line, found | {TIME: stamps, VALUE: values}

    def _stamps(self, first: str, number: int, line: Line) -> list[Any]:
        if self._frequency is None:
            return list(range(number))
        from recurra.data.calendar.grid import Clock
        from recurra.data.calendar.stamps import Form, read_stamps

        try:
            moment = datetime.strptime(first, _STAMP)
        except ValueError:
            raise self._lines.bad(f"begins at '{first}', expected a date such as 2024-03-31 02-00-00.", line) from None
        form = Form("time", between=" ")
        (place,) = read_stamps([moment], None, lambda k: str(line.number), "").places.tolist()
        return Clock(self._frequency, place, form).written(0, number)

    def _header(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        for line in self._lines:
            text = line.text.strip()
            if not text or text.startswith("#"):
                continue
            words = text.split()
            tag = words[0][1:].lower()
            if not text.startswith("@"):
                raise DataError(f"{self._lines.path}:{line.number}: expected @data before the first series.")
            if tag == "data":
                return tags
            if tag == "attribute" and len(words) == 3:
                self._attributes.append((words[1], words[2].lower()))
            elif tag in _TAGS:
                tags[tag] = " ".join(words[1:])
            else:
                known = ", @".join(("attribute NAME TYPE", *_TAGS, "data"))
                raise DataError(f"{self._lines.path}:{line.number}: unknown tag {words[0]!r}. Known: @{known}.")
        raise DataError(f"{self._lines.path}: has no line @data; expected a header that ends with it.")


TSF = Format(
    doc="series of the Monash archive: a header of @tags, attributes with colons between, then numbers",
    suffixes=(".tsf",),
    open=lambda lines, columns: TsfRows(lines),
)
