"""How far apart the steps of a series are: words in both spellings of pandas, or what its stamps say.

pandas 2.2 renamed its words (H, T, S, M, Q, Y, A became h, min, s, ME, QE, YE) and pandas 3 refuses the old ones; both
are read here, and the new one is printed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import tzinfo
from functools import reduce
from math import gcd
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError, did_you_mean

SECOND = 1_000_000
DAY = 86_400 * SECOND
# Microseconds of the words whose steps are of one length.
_FIXED = {"us": 1, "ms": 1000, "s": SECOND, "min": 60 * SECOND, "h": 3600 * SECOND}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_OLD = {
    "S": "s", "T": "min", "H": "h", "L": "ms", "U": "us", "M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "AS": "YS",
    "minute": "min", "hour": "h", "day": "D", "week": "W", "month": "MS", "quarter": "QS", "year": "YS",
    "hourly": "h", "daily": "D", "weekly": "W", "monthly": "MS", "quarterly": "QS", "yearly": "YS", "d": "D", "w": "W",
    "b": "B", "half_hourly": "30min", "10_minutes": "10min", "4_seconds": "4s", "minutely": "min",
}  # fmt: skip
_KNOWN = ("s", "min", "h", "D", "B", "W", "MS", "ME", "QS", "QE", "YS", "YE")
_WORD = re.compile(r"(\d*)([A-Za-z_]+)(?:-([A-Z]{3}))?")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

Unit = Literal["number", "fixed", "day", "business", "month"]
# What repeats, in steps, where a config names no season. A week of days and a year of months, as people read them; of
# weeks and years nothing, as the official scores of the M4 competition have it.
_SEASONS = {"s": 60, "min": 60, "h": 24, "D": 7, "B": 5, "W": 1, "MS": 12, "ME": 12, "QS": 4, "QE": 4}


@dataclass(frozen=True, slots=True)
class Frequency:
    """One step. count: of units: microseconds (fixed), days, business days, months, or whole numbers

    end: months end with the step      anchor: weekday or month that a word names, None: as the stamps are
    """

    unit: Unit
    count: int
    end: bool = False
    anchor: int | None = None

    @property
    def word(self) -> str:
        """The word as pandas 3 spells it, such as 15min; of numbers the step itself."""
        if self.unit == "number":
            return str(self.count)
        if self.unit == "fixed":
            name, size = max(((n, s) for n, s in _FIXED.items() if self.count % s == 0), key=lambda pair: pair[1])
            return _counted(self.count // size, name)
        if self.unit == "day":
            return _counted(self.count // 7, "W") if self.count % 7 == 0 else _counted(self.count, "D")
        if self.unit == "business":
            return _counted(self.count, "B")
        name, size = next((n, s) for n, s in reversed(_MONTHS.items()) if self.count % s == 0)
        return _counted(self.count // size, name + ("E" if self.end else "S"))

    @property
    def season(self) -> int:
        """Steps until what is seen repeats, by the usual convention; 1 where there is none."""
        found = re.fullmatch(r"(\d*)(\D+)", self.word)
        if found is None or found[2] not in _SEASONS:
            return 1
        season, count = _SEASONS[found[2]], int(found[1] or 1)
        if found[2] == "min":  # a day of quarters of an hour, not an hour of four
            season = 60 if count == 1 else 1440
        return season // count if season % count == 0 else 1

    def place(self, moments: NDArray[np.int64], first: int, zone: tzinfo | None) -> NDArray[np.float64]:
        """(T,) steps after the first stamp; a part of one is a stamp off the grid."""
        if self.unit in ("number", "fixed"):
            return np.asarray((moments - first) / self.count)
        local, base = local_time(moments, zone), int(local_time(np.array([first]), zone)[0])
        if self.unit == "day":
            return np.asarray((local - base) / (DAY * self.count))
        days, rest = np.divmod(local, DAY)
        base_day, base_rest = divmod(base, DAY)
        off = (rest - base_rest) / DAY  # another time of day is no step
        if self.unit == "business":
            return np.asarray((business(days) - business(np.array([base_day]))[0]) / self.count + off)
        return np.asarray((self._months(days) - self._months(np.array([base_day]))[0]) / self.count + off)

    def moments(self, steps: NDArray[np.int64], first: int, zone: tzinfo | None) -> NDArray[np.int64]:
        """(T,) the stamps of these steps after the first one: the inverse of `place`."""
        if self.unit in ("number", "fixed"):
            return np.asarray(first + steps * self.count, np.int64)
        base = int(local_time(np.array([first]), zone)[0])
        day, rest = divmod(base, DAY)
        if self.unit == "day":
            return from_local(base + steps * self.count * DAY, zone)
        if self.unit == "business":
            return from_local(from_business(business(np.array([day]))[0] + steps * self.count) * DAY + rest, zone)
        date = np.datetime64(day, "D")
        month = date.astype("datetime64[M]") + steps * self.count
        if self.end:
            days = (month + 1).astype("datetime64[D]") - 1
        else:
            within = int((date - date.astype("datetime64[M]")).astype(int))
            last = (month + 1).astype("datetime64[D]") - 1
            days = np.minimum(month.astype("datetime64[D]") + within, last)
        return from_local(days.astype(np.int64) * DAY + rest, zone)

    def _months(self, days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Months since 1970 of days that begin, or end, one; another day adds a part."""
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        if self.end:
            off = (months + 1).astype("datetime64[D]") - 1 - dates
        else:
            within = dates - months.astype("datetime64[D]")
            off = within - within[:1] if len(within) else within
            off = np.where(off == np.timedelta64(0, "D"), 0, off.astype(int)).astype("timedelta64[D]")
        found: NDArray[np.float64] = months.astype(np.int64) + off.astype(np.int64) / 64
        return found

    def fits(self, first: int, zone: tzinfo | None) -> bool:
        """Whether the weekday or month that a word names is that of a stamp."""
        if self.anchor is None:
            return True
        day = int(local_time(np.array([first]), zone)[0]) // DAY
        if self.unit == "day":
            return (day + 3) % 7 == self.anchor  # 1970-01-01 was a Thursday
        month = int(np.datetime64(day, "D").astype("datetime64[M]").astype(int)) % 12
        return (month - self.anchor) % min(self.count, 12) == 0

    def to_json(self) -> list[Any]:
        """As JSON has it."""
        return [self.unit, self.count, self.end, self.anchor]

    @classmethod
    def from_json(cls, data: Any) -> Frequency:
        """The inverse. Raises TypeError or ValueError for anything else."""
        unit, count, end, anchor = data
        if unit not in ("number", "fixed", "day", "business", "month") or not isinstance(count, int) or count < 1:
            raise ValueError(f"frequency {data!r}")
        return cls(unit, count, bool(end), anchor)


def _counted(count: int, name: str) -> str:
    return name if count == 1 else f"{count}{name}"


def frequency_of(word: str) -> Frequency:
    """A frequency by its word: h, 15min, D, W-SUN, MS, QE, ... in the old spelling too; a whole number for numbers.

    Raises ConfigError for another word.
    """
    text = word.strip()
    if text.isdecimal() and int(text) > 0:
        return Frequency("number", int(text))
    found = _WORD.fullmatch(text)
    name = None if found is None else _named(found[2])
    if found is None or name is None:
        raise ConfigError(
            f"frequency: unknown word '{word}'.{did_you_mean(text, _KNOWN)} Known: {', '.join(_KNOWN)}, with a "
            "number in "
            "front where it is not 1, such as 15min; or a whole number, for times that are numbers."
        )
    inner = re.fullmatch(r"(\d*)(\D+)", name)
    assert inner is not None
    count, name = int(found[1] or 1) * int(inner[1] or 1), inner[2]
    if count < 1:
        raise ConfigError(f"frequency: '{word}' has no step; expected a number of at least 1 in front.")
    return _made(name, count, found[3], word)


def _named(name: str) -> str | None:
    known = {*_KNOWN, "us", "ms"}
    for one in (name, name.lower()):
        if one in known:
            return one
        if one in _OLD:
            return _OLD[one]
    return name.upper() if name.upper() in known else None


def _made(name: str, count: int, anchor: str | None, word: str) -> Frequency:
    if name in _FIXED:
        made = Frequency("fixed", count * _FIXED[name])
    elif name in ("D", "W"):
        made = Frequency("day", count * (7 if name == "W" else 1))
    elif name == "B":
        made = Frequency("business", count)
    else:
        made = Frequency("month", count * _MONTHS[name[0]], name.endswith("E"))
    if anchor is None:
        return made
    names = _WEEKDAYS if name == "W" else _MONTH_NAMES if made.unit == "month" and name[0] in "QY" else ()
    if anchor not in names:
        raise ConfigError(f"frequency: '{word}': '{anchor}' means nothing behind {name}; leave it out.")
    return Frequency(made.unit, made.count, made.end, names.index(anchor))


def local_time(moments: NDArray[np.int64], zone: tzinfo | None) -> NDArray[np.int64]:
    """Microseconds on the clock of a zone; None: UTC."""
    if zone is None or not len(moments):
        return moments
    return moments + offsets(moments, zone)


def offsets(moments: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """(T,) microseconds that a zone's clock is ahead of UTC; asked for once an hour, as no zone changes within one."""
    from datetime import UTC, datetime, timedelta

    quarters = moments // (900 * SECOND)  # zones change at whole quarters of an hour
    unique, back = np.unique(quarters, return_inverse=True)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    each = [
        int((epoch + timedelta(seconds=int(q) * 900)).astimezone(zone).utcoffset().total_seconds())  # type: ignore[union-attr]
        for q in unique
    ]
    return np.asarray(np.array(each, np.int64)[back] * SECOND, np.int64)


def from_local(local: NDArray[np.int64], zone: tzinfo | None) -> NDArray[np.int64]:
    """The moments at which a zone's clock shows these; of two the first, and of none the one an hour on."""
    if zone is None or not len(local):
        return local
    guess = local - offsets(local, zone)
    return np.asarray(local - offsets(guess, zone), np.int64)


def business(days: NDArray[np.int64]) -> NDArray[np.float64]:
    """Working days before these days since 1970; a Saturday or a Sunday lies between two."""
    week, weekday = np.divmod(days + 3, 7)
    found: NDArray[np.float64] = week * 5 + np.where(weekday < 5, weekday, 4.5)
    return found


def from_business(count: NDArray[Any]) -> NDArray[np.int64]:
    """The day of a number of working days."""
    week, weekday = np.divmod(np.asarray(count, np.int64), 5)
    return np.asarray(week * 7 + weekday - 3, np.int64)


def inferred(moments: NDArray[np.int64], numbers: bool, zone: tzinfo | None) -> Frequency | None:
    """The frequency that most of these sorted stamps are apart by; None for fewer than two of them."""
    steps = np.diff(moments)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    usual = Counter(steps.tolist()).most_common(1)[0][0]
    if numbers:
        return Frequency("number", int(usual))
    local = local_time(moments, zone)
    days, rest = np.divmod(local, DAY)
    if (rest == rest[0]).all() and usual >= 27 * DAY and (found := _by_months(days)) is not None:
        return found
    apart = Counter(step for step in np.diff(local).tolist() if step > 0).most_common(1)[0][0]
    if apart % DAY == 0 and (rest == rest[0]).all():
        if apart == DAY and len(days) >= 10 and ((days + 3) % 7 < 5).all():
            return Frequency("business", 1)
        return Frequency("day", int(apart) // DAY)
    return Frequency("fixed", int(usual))


def _by_months(days: NDArray[np.int64]) -> Frequency | None:
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    ends = ((months + 1).astype("datetime64[D]") - 1 == dates).all()
    within = dates - months.astype("datetime64[D]")
    if not ends and not (within == within[0]).all():
        return None
    steps = np.unique(np.diff(months.astype(np.int64)))
    return Frequency("month", reduce(gcd, steps[steps > 0].tolist()), bool(ends) and not (within == within[0]).all())


def refuse_none(found: Frequency | None, series: str) -> Frequency:
    """Raise DataError where stamps tell no frequency."""
    if found is None:
        raise DataError(
            f"series {series} has fewer than two stamps, so its frequency cannot be told; set task.frequency."
        )
    return found
