"""The stamps of a series as steps of a grid: gaps and strays are named with series, stamp and row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.calendar.frequency import DAY, Frequency
from recurra.data.calendar.stamps import DATES_END, NUMBERS_END, Form, Stamps, Where

# Steps of each unit are this long at least, in numbers or microseconds.
_SHORTEST = {"number": 1, "fixed": 1, "day": DAY, "business": DAY, "month": 28 * DAY}
# Steps of a series with gaps: as many as a request may have, and of a longer one so many a row. Two rows can be a
# billion steps apart, and each step between them takes room and time.
MOST_STEPS, MOST_STEPS_A_ROW = 100_000, 100


@dataclass(frozen=True, slots=True)
class Clock:
    """The grid of one series. first: its first stamp, in microseconds (UTC) or as a number; zone: of its calendar"""

    frequency: Frequency
    first: int
    form: Form
    zone: ZoneInfo | None = None

    def moments(self, start: int, stop: int) -> NDArray[np.int64]:
        """(stop - start,) the stamps of these steps, as numbers."""
        return self.frequency.moments(np.arange(start, stop, dtype=np.int64), self.first, self.zone)

    def reaches(self, steps: int) -> bool:
        """Whether so many steps have stamps, all of them: dates end with the year 9999, whole numbers at 2**62."""
        if self.frequency.unit == "number":
            return self.first + (steps - 1) * self.frequency.count < NUMBERS_END
        end = DATES_END - (0 if self.zone is None else DAY)  # whose clock is ahead by less
        if self.first + (steps - 1) * self.frequency.count * _SHORTEST[self.frequency.unit] >= end:
            return False  # exact moments would not fit 64 bits
        try:
            return int(self.moments(steps - 1, steps)[0]) < end
        except OverflowError:  # a zone has no clock there
            return False

    def written(self, start: int, stop: int) -> list[str | int]:
        """The same, as the data has them."""
        moments, unit = self.moments(start, stop), {"month": "M", "date": "D"}.get(self.form.kind)
        if unit is None or self.zone is not None or self.form.slashes:
            return [self.form.write(int(one), self.zone) for one in moments]
        # All at once: a fifth of the time, of which there are 3 ms for an answer.
        texts = np.datetime_as_string(moments.astype("datetime64[us]").astype(f"datetime64[{unit}]"))
        return list(map(str, texts))


@dataclass(frozen=True, slots=True)
class Grid:
    """places: (T,) the step of each row; length: steps in all, those without a row too."""

    clock: Clock
    places: NDArray[np.int64]
    length: int


def grid_of(
    stamps: Stamps,
    values: Sequence[Any],
    frequency: Frequency,
    zone: ZoneInfo | None,
    *,
    fill: bool,
    where: Where,
    series: str,
) -> Grid:
    """The rows of a series, sorted by time, on the grid of a frequency. fill: steps without a row are let be

    Raises DataError, with row, series and stamp, for a stamp between two steps, one that stands twice, and a step
    without a row unless `fill`; for a weekday or month that is not the one the frequency names; for dates where the
    frequency is of whole numbers, and the reverse; for a series that gaps make too long.
    """
    _refuse_other_kind(stamps, values, frequency, where, series)
    first = int(stamps.places[0])
    clock = Clock(frequency, first, stamps.form, zone)
    if not frequency.fits(first, zone):
        raise DataError(
            f"{where(0)}: series {series}: the first stamp {values[0]} does not fit the frequency "
            f"{frequency.word} with "
            "the day or month that it names; leave that out of task.frequency."
        )
    exact = frequency.place(stamps.places, first, zone)
    places = np.round(exact).astype(np.int64)
    if (stray := np.flatnonzero(np.abs(exact - places) > 1e-9)).size:
        k = int(stray[0])
        before = clock.written(int(np.floor(exact[k])), int(np.floor(exact[k])) + 2)
        raise DataError(
            f"{where(k)}: series {series}: the stamp {values[k]} is off the grid of {frequency.word}, between "
            f"{before[0]} "
            f"and {before[1]}; {len(stray):,} of {len(places):,} stamps are. Correct them, or set task.frequency."
        )
    steps = np.diff(places)
    if (twice := np.flatnonzero(steps == 0)).size:
        k = int(twice[0]) + 1
        raise DataError(
            f"{where(k)}: series {series}: the stamp {values[k]} is there twice, here and at {where(k - 1)}; expected "
            "each once. Remove one of the rows."
        )
    if (gaps := np.flatnonzero(steps > 1)).size and not fill:
        k = int(gaps[0]) + 1
        lost = int((steps[gaps] - 1).sum())
        missing = clock.written(int(places[k - 1]) + 1, int(places[k - 1]) + 2)[0]
        rows = "row is" if lost == 1 else "rows are"
        raise DataError(
            f"{where(k)}: series {series}: {missing} has no row; the frequency is {frequency.word}, and {lost:,} "
            f"{rows} "
            f"missing, the first before {values[k]}. Add them, or set task.missing: mask, so that a mark of what is "
            "there is read beside."
        )
    _refuse_too_long(places, values, frequency, where, series)
    return Grid(clock, places, int(places[-1]) + 1 if len(places) else 0)


def _refuse_other_kind(stamps: Stamps, values: Sequence[Any], frequency: Frequency, where: Where, series: str) -> None:
    numbers = stamps.form.kind == "number"
    if numbers == (frequency.unit == "number"):
        return
    of, expected = (
        ("dates", "dates such as 2024-03-31 in the column of task.time, or a whole number for task.frequency")
        if numbers
        else ("whole numbers", "whole numbers in the column of task.time, or a word such as D for task.frequency")
    )
    raise DataError(
        f"{where(0)}: series {series}: the time is {as_written(values[0])}, and the frequency {frequency.word} is of "
        f"{of}; expected {expected}."
    )


def _refuse_too_long(
    places: NDArray[np.int64], values: Sequence[Any], frequency: Frequency, where: Where, series: str
) -> None:
    rows = len(places)
    length, most = int(places[-1]) + 1 if rows else 0, max(MOST_STEPS, MOST_STEPS_A_ROW * rows)
    if length > most:
        k = int(np.diff(places).argmax()) + 1
        raise DataError(
            f"{where(k)}: series {series}: from {values[k - 1]} to {values[k]} are {places[k] - places[k - 1]:,} steps "
            f"of {frequency.word}, and {rows:,} rows would make {length:,}; expected {most:,} at most. Correct the "
            "stamp, or set a longer task.frequency."
        )
