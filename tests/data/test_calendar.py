"""Stamps, frequencies and grids: words of both spellings, zones with days of 23 and 25 hours, and what breaks a
grid.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from recurra.base.errors import ConfigError, DataError
from recurra.data.calendar import Form, calendar_features, frequency_of, grid_of, inferred, read_stamps, zone_of
from recurra.data.calendar.frequency import DAY, Frequency
from recurra.data.calendar.grid import Clock, Grid

BERLIN = "Europe/Berlin"


def where(step: int) -> str:
    return f"d.csv:{step + 2}"


def read(values: list, zone: str | None = None):
    return read_stamps(values, zone_of(zone), where, "a")


def gridded(values: list, word: str | None = None, zone: str | None = None, fill: bool = False) -> Grid:
    stamps = read(values, zone)
    found = frequency_of(word) if word else inferred(stamps.places, stamps.form.kind == "number", zone_of(zone))
    assert found is not None
    return grid_of(stamps, values, found, zone_of(zone), fill=fill, where=where, series="a")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("H", "h"), ("T", "min"), ("15T", "15min"), ("S", "s"), ("M", "ME"), ("Q", "QE"), ("Y", "YE"), ("A", "YE"),
        ("AS", "YS"), ("D", "D"), ("7D", "W"), ("W-SUN", "W"), ("Q-DEC", "QE"), ("MS", "MS"), ("60min", "h"),
        ("3MS", "QS"), ("hourly", "h"), ("B", "B"), ("24h", "24h"), ("3", "3"), ("half_hourly", "30min"),
    ],
)  # fmt: skip
def test_both_spellings_of_pandas_are_read_and_one_is_printed(old: str, new: str) -> None:
    assert frequency_of(old).word == new


@pytest.mark.parametrize("word", ["x", "0h", "W-XYZ", "MS-FRI", ""])
def test_an_unknown_word_is_refused_with_those_there_are(word: str) -> None:
    with pytest.raises(ConfigError, match="frequency: "):
        frequency_of(word)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00"], "h"),
        (["2024-01", "2024-02", "2024-03"], "MS"),
        (["2024-01-31", "2024-02-29", "2024-03-31"], "ME"),
        (["2024-01-15", "2024-02-15", "2024-03-15"], "MS"),
        (["2023-03-31", "2023-06-30", "2023-09-30"], "QE"),
        (["2020-01-01", "2021-01-01", "2022-01-01"], "YS"),
        (["2024/1/1", "2024/1/8", "2024/1/15"], "W"),
        ([f"2024-01-{d:02d}" for d in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 15)], "B"),
        ([5, 8, 11], "3"),
        (["1", "2", "3"], "1"),
        ([date(2024, 1, 1), date(2024, 1, 2)], "D"),
    ],
)
def test_stamps_tell_their_frequency(values: list, word: str) -> None:
    grid = gridded(values)
    assert grid.clock.frequency.word == word
    assert grid.places.tolist() == list(range(len(values)))
    assert [str(x) for x in grid.clock.written(0, len(values))] == [
        str(v).replace("2024/1/", "2024/01/0").replace("/015", "/15") for v in values
    ]


def test_a_day_of_23_hours_and_one_of_25_are_days_by_the_clock() -> None:
    """Spring of 2024 in Berlin is on March 31st, autumn on October 27th."""
    zone = zone_of(BERLIN)
    days = [f"2024-03-{d}T00:00" for d in (29, 30, 31)] + ["2024-04-01T00:00", "2024-04-02T00:00"]
    stamps = read(days, BERLIN)
    assert np.diff(stamps.places).tolist() == [DAY, DAY, DAY * 23 // 24, DAY]
    grid = gridded(days, zone=BERLIN)
    assert grid.clock.frequency.word == "D"
    assert grid.clock.written(0, 6)[-1] == "2024-04-03T00:00"
    hours = [f"2024-10-27T{h:02d}:00+00:00" for h in range(4)]  # 02:00, 02:00, 03:00, 04:00 in Berlin
    clock = gridded(hours, zone=BERLIN).clock
    assert clock.frequency.word == "h"
    assert clock.written(0, 4) == [
        f"2024-10-27T{t}" for t in ("02:00+02:00", "02:00+01:00", "03:00+01:00", "04:00+01:00")
    ]
    shown = calendar_features(Clock(clock.frequency, clock.first, clock.form, zone), 0, 4, ("hour_of_day",))
    assert np.round((shown[:, 0] + 0.5) * 23).tolist() == [2, 2, 3, 4]


def test_a_calendar_is_by_the_clock_of_its_zone_against_pythons_own() -> None:
    zone = zone_of("America/New_York")
    assert zone is not None
    first = int((datetime(2024, 2, 27, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
    clock = Clock(Frequency("fixed", 3_600_000_000), first, read(["2024-02-27T00:00+00:00"]).form, zone)
    names = ("hour_of_day", "day_of_week", "day_of_month", "month_of_year")
    found = calendar_features(clock, 0, 24 * 30, names) + 0.5
    for k in range(0, 24 * 30, 7):
        moment = (datetime(2024, 2, 27, tzinfo=UTC) + timedelta(hours=k)).astimezone(zone)
        expected = [moment.hour / 23, moment.weekday() / 6, (moment.day - 1) / 30, (moment.month - 1) / 11]
        np.testing.assert_allclose(found[k], expected, atol=1e-6)


def test_local_hours_that_are_twice_or_never_are_named_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"d\.csv:3: series a: the time .2024-10-27T02:30. is there twice.*\+02:00"):
        read(["2024-10-27T01:30", "2024-10-27T02:30"], BERLIN)
    with pytest.raises(DataError, match=r"d\.csv:2: series a: the time .2024-03-31T02:30. is no time there"):
        read(["2024-03-31T02:30"], BERLIN)


def test_a_gap_a_stray_and_a_twin_are_named_with_series_stamp_and_row() -> None:
    with pytest.raises(DataError, match=r"d\.csv:5: series a: 2024-01-04 has no row.*2 rows are missing.*mask"):
        gridded(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06"])
    with pytest.raises(DataError, match=r"d\.csv:4: series a: the stamp 2024-01-01T01:30 is off the grid of h"):
        gridded(["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T01:30", "2024-01-01T02:00"], "h")
    with pytest.raises(DataError, match=r"d\.csv:4: series a: the stamp 3 is there twice, here and at d\.csv:3"):
        gridded([2, 3, 3], "1")
    with pytest.raises(DataError, match=r"d\.csv:2: series a: the first stamp 2024-01-01 does not fit the frequency W"):
        gridded(["2024-01-01", "2024-01-08"], "W-SUN")
    filled = gridded(["2024-01-01", "2024-01-03"], "D", fill=True)
    assert (filled.places.tolist(), filled.length) == ([0, 2], 3)


def test_a_gap_that_would_make_a_series_of_millions_of_steps_is_refused_before_they_are_made() -> None:
    """Two rows took a minute and a gigabyte: the steps between them are filled, one by one."""
    with pytest.raises(
        DataError,
        match=r"d\.csv:4: series a: from 1 to 20000000 are 19,999,999 steps of 1, and 3 rows would make 20,000,001; "
        r"expected 100,000 at most\. .*task\.frequency",
    ):
        gridded([0, 1, 20000000], "1", fill=True)
    with pytest.raises(DataError, match=r"d\.csv:3: series a: from 1970-01-01T00:00:00 to 2024-01-01T00:00:00"):
        gridded(["1970-01-01T00:00:00", "2024-01-01T00:00:00", "2024-01-01T00:00:01"], "s", fill=True)
    assert gridded([0, 99_999], "1", fill=True).length == 100_000


def test_a_long_series_may_miss_ninety_nine_steps_of_a_hundred() -> None:
    sparse = [100 * k for k in range(2001)]
    assert gridded(sparse, "1", fill=True).length == 200_001
    with pytest.raises(DataError, match=r"d\.csv:2003: .* 2,002 rows would make 200,301; expected 200,200 at most"):
        gridded([*sparse, 200_300], "1", fill=True)


@pytest.mark.parametrize("fill", [True, False])
def test_dates_for_a_frequency_of_numbers_and_numbers_for_one_of_dates_are_told_apart(fill: bool) -> None:
    """Dates were said to miss two billion rows of 1, and numbers to stand twice."""
    for values in (["2024-01-01", "2024-01-02"], ["2024-01", "2024-02"], [datetime(2024, 1, 1), datetime(2024, 1, 2)]):
        with pytest.raises(
            DataError, match=r"d\.csv:2: series a: the time is .*2024.*, and the frequency 1 is of whole numbers; "
        ):
            gridded(values, "1", fill=fill)
    for word in ("D", "h", "MS", "B", "W-SUN"):
        said = rf"d\.csv:2: series a: the time is 0, and the frequency {word[0]}\w* is of dates; "
        with pytest.raises(DataError, match=said + r".*task\.time.*task\.frequency"):
            gridded([0, 1, 2], word, fill=fill)


def test_a_saturday_is_off_a_grid_of_working_days() -> None:
    with pytest.raises(DataError, match="2024-01-06 is off the grid of B, between 2024-01-05 and 2024-01-08"):
        gridded(["2024-01-05", "2024-01-06", "2024-01-08"], "B")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["2024-01-01", "soon"], r"d\.csv:3: series a: the time is .soon., expected a stamp"),
        ([1, "2024-01-01"], r"d\.csv:3: .*expected a whole number"),
        ([1.5, 2.5], "expected a stamp"),
        (["2024-01-01T00:00Z", "2024-01-01T01:00"], "has no offset"),
    ],
)
def test_what_is_no_stamp_is_named(values: list, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read(values)


@pytest.mark.parametrize("huge", [10**30, -(10**30), 2**62, 2**63 - 1, 10**400, 1e300, "9" * 30])
@pytest.mark.parametrize("before", [[], [1], ["1"]])
def test_a_whole_number_with_no_room_for_steps_behind_it_is_no_stamp(huge: Any, before: list) -> None:
    """Of a forecast from 2**63 - 1 on the stamps were negative; a larger number ended in a traceback."""
    expected = f"d\\.csv:{len(before) + 2}: series a: the time is .*, expected a (whole number|stamp)"
    with pytest.raises(DataError, match=expected) as error:
        read([*before, huge])
    assert "between -4611686018427387904 and 4611686018427387904" in str(error.value)


def test_whole_numbers_up_to_the_largest_are_stamps() -> None:
    large = 2**62 - 1
    for values in ([large, -large], [str(large), str(-large)], [large, str(-large)]):
        assert read(values).places.tolist() == [large, -large]
    assert read([1.0, 2.0]).places.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("stamp", "zone"),
    [
        ("0001-01-01T00:00+05:00", None),
        ("9999-12-31T23:00-05:00", None),
        ("9999-12-31T23:00", "America/New_York"),
        ("9999-12-31T23:00Z", BERLIN),
        ("0001-01-01T00:00", "Asia/Tokyo"),
    ],
)
def test_a_stamp_that_is_no_date_in_utc_or_in_its_zone_is_named(stamp: str, zone: str | None) -> None:
    with pytest.raises(DataError, match=r"d\.csv:2: series a: the time is .*, expected one of the years 1 to 9999"):
        read([stamp], zone)


def test_a_clock_reaches_as_far_as_there_are_stamps() -> None:
    def reaches(first: Any, word: str, steps: int, zone: str | None = None) -> bool:
        stamps = read([first], zone)
        return Clock(frequency_of(word), int(stamps.places[0]), stamps.form, zone_of(zone)).reaches(steps)

    assert reaches("9999-12-30", "D", 2)
    assert not reaches("9999-12-30", "D", 3)
    assert reaches("9999-12-31T00:00", "h", 24)
    assert not reaches("9999-12-31T00:00", "h", 25)
    assert reaches("9999-01-01", "MS", 12)
    assert not reaches("9999-01-01", "MS", 13)
    assert reaches("9999-12-24", "B", 6)
    assert not reaches("9999-12-24", "B", 7)
    assert reaches("9999-12-01", "D", 25, BERLIN)
    assert not reaches("9999-12-01", "D", 40, BERLIN)
    assert not reaches("9999-12-01", "MS", 2, BERLIN)
    assert not reaches("2024-01-01", "MS", 10**12)
    assert reaches(2**62 - 10, "3", 4)
    assert not reaches(2**62 - 10, "3", 5)
    assert not reaches(0, str(2**61), 4)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown zone 'Mars/Olympus'"):
        zone_of("Mars/Olympus")


def test_months_and_dates_that_are_read_or_written_all_at_once_are_those_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from recurra.data.calendar import stamps

    months = [f"{1949 + k // 12:04d}-{k % 12 + 1:02d}" for k in range(300)]
    fast = read_stamps(months, None, str, "a")
    with monkeypatch.context() as patch:
        patch.setattr(stamps, "_all_alike", lambda values, zone: None)
        slow = read_stamps(months, None, str, "a")
    assert fast.form == slow.form
    assert fast.places.tolist() == slow.places.tolist()
    for odd in (["0000-01", "2024-02"], ["2024-13", "2024-02"], ["2024-1 ", "2024-02"]):
        assert stamps._all_alike(odd, None) is None
    first = int(fast.places[0])
    for form, frequency in ((Form("month"), "MS"), (Form("date"), "D"), (Form("date", slashes=True), "D")):
        clock = Clock(frequency_of(frequency), first, form)
        assert clock.written(0, 50) == [form.write(int(one), None) for one in clock.moments(0, 50)]
