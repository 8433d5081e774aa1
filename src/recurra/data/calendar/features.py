"""Where a step is in its hour, day, week and year, by the clock of a zone: numbers from -0.5 to 0.5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.data.calendar.frequency import DAY, SECOND, Frequency, local_time
from recurra.data.calendar.grid import Clock

FEATURES = ("minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "week_of_year", "month_of_year", "year")


def usual_features(frequency: Frequency) -> tuple[str, ...]:
    """Those that tell the steps of a frequency apart."""
    if frequency.unit == "number":
        return ()
    if frequency.unit == "fixed":
        fine = ("minute_of_hour",) if frequency.count < 3600 * SECOND else ()
        return (*fine, "hour_of_day", "day_of_week", "month_of_year")
    if frequency.unit == "month":
        return ("month_of_year",) if frequency.count < 12 else ()
    return ("week_of_year",) if frequency.count % 7 == 0 else ("day_of_week", "month_of_year")


def calendar_features(clock: Clock, start: int, stop: int, names: Sequence[str]) -> NDArray[np.float32]:
    """(stop - start, len(names)) of these steps of a clock. Raises KeyError for another name."""
    if not names:
        return np.zeros((stop - start, 0), np.float32)
    local = local_time(clock.moments(start, stop), clock.zone)
    days, rest = np.divmod(local, DAY)
    dates = days.astype("datetime64[D]")
    months, years = dates.astype("datetime64[M]"), dates.astype("datetime64[Y]")
    of_year = (dates - years.astype("datetime64[D]")).astype(np.int64)
    known: dict[str, Callable[[], NDArray[Any]]] = {
        "minute_of_hour": lambda: (rest // (60 * SECOND) % 60) / 59,
        "hour_of_day": lambda: rest / DAY * 24 / 23,
        "day_of_week": lambda: ((days + 3) % 7) / 6,
        "day_of_month": lambda: (dates - months.astype("datetime64[D]")).astype(np.int64) / 30,
        "week_of_year": lambda: of_year // 7 / 52,
        "month_of_year": lambda: (months.astype(np.int64) % 12) / 11,
        "year": lambda: (years.astype(np.int64) - 30) / 100,
    }
    return np.stack([np.asarray(known[name](), np.float32) - np.float32(0.5) for name in names], 1)
