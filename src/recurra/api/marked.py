"""Labels of series: a column of the file itself, or a file of spans in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recurra.api.given import AnyPath, path_of
from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.calendar import read_stamps
from recurra.data.formats import read, spelt
from recurra.tasks import WatchedSeries


@dataclass(frozen=True, slots=True)
class Span:
    """first, last: moments, both labelled      series: its name, None where the file names none"""

    first: int
    last: int
    series: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Spans:
    """Labelled spans of a file."""

    path: str
    all: tuple[Span, ...]
    dated: bool

    def of(self, one: WatchedSeries) -> NDArray[np.bool_]:
        """(T,) of a series. Raises DataError where one has dates and the other numbers."""
        if self.dated != one.dated:
            kinds = ("dates", "numbers") if self.dated else ("numbers", "dates")
            raise DataError(f"{self.path}: spans are {kinds[0]}, the stamps of series {one.name} {kinds[1]}.")
        found = np.zeros(len(one.moments), bool)
        for span in self.all:
            if span.series in (None, one.name):
                found |= (one.moments >= span.first) & (one.moments <= span.last)
        return found


def marked(labels: AnyPath | None) -> tuple[str | None, Spans | None]:
    """The name of a column, or the spans of a file; both None without labels."""
    if labels is None:
        return None, None
    path = path_of(labels, "labels")
    return (None, read_spans(path)) if path.is_file() else (str(labels), None)


def read_spans(path: Path) -> Spans:
    """Rows with start and end, and series where there are several. Raises DataError, with file and line."""
    rows = list(read(path, fields=("start", "end")))
    stamps = []
    for name in ("start", "end"):
        raw = [row.fields[spelt(name, row.fields) or name] for row in rows]
        stamps.append(read_stamps(raw, None, lambda k: str(rows[k].origin), "of labels"))
    found = []
    for k, row in enumerate(rows):
        first, last = int(stamps[0].places[k]), int(stamps[1].places[k])
        if last < first:
            raise DataError(f"{row.origin}: the span ends before it starts; expected start, then end.")
        series = spelt("series", row.fields)
        found.append(Span(first, last, None if series is None else str(row.fields[series]), row.origin))
    return Spans(str(path), tuple(found), stamps[0].form.kind != "number")
