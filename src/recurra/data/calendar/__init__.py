"""Stamps of series: read, put on a grid, named where they break it, and written as they came.

stamps     text, numbers and dates to microseconds since 1970 in UTC, or to whole numbers; and back
frequency  words such as `h`, `MS`, `15min` in both spellings of pandas, what stamps themselves say, steps of a grid
grid       the stamps of a series as steps, with gaps and strays named
features   where a step is in its day, week and year, by the clock of a zone
"""

from __future__ import annotations

from recurra.data.calendar.features import FEATURES, calendar_features, usual_features
from recurra.data.calendar.frequency import Frequency, frequency_of, inferred
from recurra.data.calendar.grid import Clock, grid_of
from recurra.data.calendar.stamps import Form, Stamps, read_stamps, zone_of

__all__ = [
    "FEATURES",
    "Clock",
    "Form",
    "Frequency",
    "Stamps",
    "calendar_features",
    "frequency_of",
    "grid_of",
    "inferred",
    "read_stamps",
    "usual_features",
    "zone_of",
]
