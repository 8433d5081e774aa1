"""Tables of the UCR archive: a series a line, its label first, with tabs, commas or spaces between; no header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines
from recurra.data.formats.ts import LABEL, VALUES

_APART = re.compile(r"[\s,]+")


class UcrRows:
    """Series as lists of numbers, as they are written, with their labels.

    The archive pads shorter series with NaN at their end; those are cut off. A label that is a whole number written
    as 1.0000000e+00 is "1".
    """

    columns = (VALUES, LABEL)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next series; BadRowError for a line of one number."""
        line = next(self._lines)
        while not line.text.strip():
            line = next(self._lines)
        label, *numbers = _APART.split(line.text.strip())
        while numbers and numbers[-1].lower() == "nan":
            numbers.pop()
        if not numbers:
            raise self._lines.bad("expected a label and numbers, found one number.", line)
        return line, {VALUES: numbers, LABEL: _label(label)}


def _label(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


UCR = Format(
    doc="a series a line, its label first, numbers with tabs, commas or spaces between (UCR archive)",
    suffixes=(),
    open=lambda lines, columns: UcrRows(lines),
)
