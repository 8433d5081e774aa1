"""Stamps as numbers: microseconds since 1970 in UTC, or whole numbers as they are; and back in the form they had."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError
from recurra.base.words import as_written
from recurra.data.calendar.frequency import DAY

EPOCH = datetime(1970, 1, 1)
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
# Where whole numbers and dates end as stamps: the difference of two numbers still is one of 64 bits, and Python's
# calendar has no year 0 and none behind 9999.
NUMBERS_END = 2**62
DATES_BEGIN, DATES_END = (datetime(1, 1, 1) - EPOCH) // _US, (datetime(9999, 12, 31) - EPOCH) // _US + DAY
_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
# As the calendar has them, so that none is refused: years from 1 on.
_WHOLE_MONTH, _MONTH_LENGTH = re.compile(r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])"), 7
_LOOSE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
# Where the message of a stamp begins: the row of step k.
Where = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Form:
    """How stamps were written, so that forecasts have theirs in the same way.

    kind: number, month (2024-03), date or time      aware: with an offset; between: date and time; seconds: shown
    """

    kind: Literal["number", "month", "date", "time"]
    aware: bool = False
    between: str = "T"
    seconds: bool = True
    slashes: bool = False

    def to_json(self) -> list[Any]:
        """As JSON has it."""
        return [self.kind, self.aware, self.between, self.seconds, self.slashes]

    @classmethod
    def from_json(cls, data: Any) -> Form:
        """The inverse. Raises TypeError or ValueError for anything else."""
        kind, aware, between, seconds, slashes = data
        if kind not in ("number", "month", "date", "time") or between not in ("T", " "):
            raise ValueError(f"form of stamps {data!r}")
        return cls(kind, bool(aware), between, bool(seconds), bool(slashes))

    def write(self, place: int, zone: tzinfo | None) -> str | int:
        """A stamp, from microseconds in UTC (or a number), by the clock of `zone`."""
        if self.kind == "number":
            return int(place)
        moment = _UTC_EPOCH + timedelta(microseconds=int(place))
        moment = moment.astimezone(zone or UTC)
        if not self.aware:
            moment = moment.replace(tzinfo=None)
        if self.kind == "month":
            return f"{moment:%Y-%m}"
        if self.kind == "date":
            text = f"{moment:%Y-%m-%d}"
        else:
            exact = "auto" if self.seconds else "minutes"
            text = moment.isoformat(sep=self.between, timespec=exact)
        return text.replace("-", "/", 2) if self.slashes else text


@dataclass(frozen=True, slots=True)
class Stamps:
    """places: (T,) int64, microseconds since 1970 in UTC, or whole numbers; form: of the first one."""

    places: NDArray[np.int64]
    form: Form


def zone_of(word: str | None) -> ZoneInfo | None:
    """A time zone by its name, such as Europe/Berlin; None for None. Raises ConfigError for one that is not known."""
    if word is None:
        return None
    try:
        return ZoneInfo(word)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"time_zone: unknown zone '{word}'; expected a name such as Europe/Berlin, America/New_York or UTC."
        ) from None


def moment_of(value: Any) -> datetime | int | None:
    """A stamp: a datetime (naive or with its offset), or a whole number under 2**62; None for what is neither."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    number = whole_number(value)
    if number is not None:
        return number if abs(number) < NUMBERS_END else None
    return _of_text(value.strip()) if isinstance(value, str) else None


def whole_number(value: Any) -> int | None:
    """The whole number that a value is, or that a text says, however large; None for anything else."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _of_text(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, of_loose_text):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def of_loose_text(text: str) -> datetime:
    """2024-03, 2024/3/1, 2024-3-1 5:30. Raises ValueError."""
    if found := _MONTH.fullmatch(text):
        return datetime(int(found[1]), int(found[2]), 1)
    if found := _LOOSE.fullmatch(text):
        return datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]
    raise ValueError(text)


def read_stamps(values: Sequence[Any], zone: ZoneInfo | None, where: Where, series: str) -> Stamps:
    """The stamps of a series. zone: of those without an offset, None: UTC; where: the row of a step, for messages

    Raises DataError, with row, series and stamp, for what is no stamp, numbers among dates, offsets in some only, and
    local times that are twice, or never, because clocks change.
    """
    if (fast := _all_alike(values, zone)) is not None:
        return fast
    moments = [moment_of(value) for value in values]
    for k, moment in enumerate(moments):
        if moment is None or isinstance(moment, int) != isinstance(moments[0], int):
            expected = "a whole number" if isinstance(moments[0], int) and k else "a stamp such as 2024-03-31T02:00"
            if moment is None and whole_number(values[k]) is not None:
                expected = f"a whole number between -{NUMBERS_END} and {NUMBERS_END}"
            raise DataError(f"{where(k)}: series {series}: the time is {as_written(values[k])}, expected {expected}.")
    if not moments or isinstance(moments[0], int):
        return Stamps(np.array(moments, np.int64), Form("number"))
    first: Any = moments[0]
    for k, one in enumerate(moments):
        if (one.tzinfo is None) != (first.tzinfo is None):  # type: ignore[union-attr]
            raise DataError(
                f"{where(k)}: series {series}: the time {as_written(values[k])} has "
                f"{'no ' if first.tzinfo else 'an '}offset, and that of {where(0)} has "
                f"{'one' if first.tzinfo else 'none'}; "
                "expected an offset in each or in none."
            )
    places = [_place(one, zone, values[k], where, k, series) for k, one in enumerate(moments)]
    margin = 0 if zone is None else DAY  # the clock of a zone is ahead or behind by less
    for k, place in enumerate(places):
        if not DATES_BEGIN + margin <= place < DATES_END - margin:
            raise DataError(
                f"{where(k)}: series {series}: the time is {as_written(values[k])}, expected one of the years 1 to "
                f"9999 in UTC{'' if zone is None else ', more than a day from their ends'}."
            )
    return Stamps(np.array(places, np.int64), _form(values[0], moments))


def _all_alike(values: Sequence[Any], zone: ZoneInfo | None) -> Stamps | None:
    """Whole numbers, months, or ISO 8601 without offsets in UTC, all at once; None for anything else.

    The other way takes 1.5 us a stamp, which is most of the time of an answer for one series.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        if not -NUMBERS_END < min(values) <= max(values) < NUMBERS_END:
            return None
        return Stamps(np.array(values, np.int64), Form("number"))
    if kinds != {str} or zone is not None or values[0].isdecimal():
        return None
    if len(values[0]) == _MONTH_LENGTH and all(map(_WHOLE_MONTH.fullmatch, values)):
        return Stamps(np.array(values, "datetime64[M]").astype("datetime64[us]").astype(np.int64), Form("month"))
    try:
        moments = list(map(datetime.fromisoformat, values))
    except ValueError:
        return None
    if any(one.tzinfo is not None for one in moments):
        return None
    return Stamps(np.array(moments, "datetime64[us]").astype(np.int64), _form(values[0], moments))


def _place(moment: Any, zone: ZoneInfo | None, value: Any, where: Where, step: int, series: str) -> int:
    if moment.tzinfo is not None:
        return (moment - _UTC_EPOCH) // _US  # type: ignore[no-any-return]
    if zone is None:
        return (moment - EPOCH) // _US  # type: ignore[no-any-return]
    local = moment.replace(tzinfo=zone)
    early, late = local.utcoffset(), local.replace(fold=1).utcoffset()
    if early != late:
        gone = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment
        why = "is no time there, as clocks go forward" if gone else "is there twice, as clocks go back"
        raise DataError(
            f"{where(step)}: series {series}: the time {as_written(value)} {why} in {zone.key}. Write the offset "
            "of each "
            f"stamp ({moment.isoformat()}{_offset(early)}), or stamps in UTC."
        )
    found: int = (local - _UTC_EPOCH) // _US
    return found


def _offset(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta()).total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _form(value: Any, moments: Sequence[Any]) -> Form:
    """The form of the first stamp."""
    text = value.strip() if isinstance(value, str) else ""
    slashes = "/" in text[:8]
    if _MONTH.fullmatch(text):
        return Form("month")
    if (isinstance(value, date) and not isinstance(value, datetime)) or (text and ":" not in text):
        return Form("date", slashes=slashes)
    aware = moments[0].tzinfo is not None
    seconds = not text or text.split("+")[0].count(":") > 1 or text.endswith("Z")
    return Form("time", aware, " " if " " in text[:12] else "T", seconds, slashes)
