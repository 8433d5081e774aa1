"""Rows to records: long form, where many rows are one record, and wide form, where each column is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.layouts import Layout, Long, Wide, Windows


def rows(*given: Mapping[str, Any]) -> list[Record]:
    return [Record(fields, Origin("d.csv", n)) for n, fields in enumerate(given, start=2)]


def laid(
    layout: Layout, given: Sequence[Record], steps: Sequence[str], once: Sequence[str] = ()
) -> list[Record | DataError]:
    return list(layout.records(given, steps, once))


def test_rows_of_one_id_are_one_record_in_the_order_of_time() -> None:
    given = rows(
        {"id": "a", "t": "10", "x": 3, "y": "n", "note": "p"},
        {"id": "b", "t": "1", "x": 7, "y": "m", "note": "q"},
        {"id": "a", "t": "9", "x": 2, "y": "n", "note": "r"},
    )
    first, second = laid(Long(id="id", time="t"), given, ["x"], ["y"])
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    # Numbers are ordered as numbers: 9 comes before 10. What differs between rows and is asked for by nobody is gone.
    assert first.fields == {"id": "a", "t": ["9", "10"], "x": [2, 3], "y": "n"}
    assert [str(one) for one in first.steps] == ["d.csv:4", "d.csv:2"]
    assert second.fields == {"id": "b", "t": ["1"], "x": [7], "y": "m", "note": "q"}


def test_stamps_are_ordered_as_times_whatever_their_form_and_zone() -> None:
    given = rows(
        {"id": 1, "t": "2024-03-31T03:00:00+02:00", "x": "after"},
        {"id": 1, "t": "2024-03-31 00:59+00:00", "x": "before"},
    )
    (made,) = laid(Long(id="id", time="t"), given, ["x"])
    assert isinstance(made, Record)
    assert made.fields["x"] == ["before", "after"]


@pytest.mark.parametrize(
    "stamps",
    [
        ("1711843200000000101", "1711843200000000001"),  # nanoseconds, which differ by less than a float can say
        ("2024-01-01T00:00:00.1234569", "2024-01-01T00:00:00.123456700"),
        ("2024-01-01T01:00:00.123456702+01:00", "2024-01-01T00:00:00.1234567+00:00"),
        ("20240101T000000,123456701", "20240101T000000,1234567"),
    ],
)
def test_stamps_keep_all_of_their_digits(stamps: tuple[str, str]) -> None:
    given = rows(*({"id": 1, "t": stamp, "x": name} for stamp, name in zip(stamps, ("later", "earlier"), strict=True)))
    (made,) = laid(Long(id="id", time="t"), given, ["x"])
    assert isinstance(made, Record)
    assert made.fields["x"] == ["earlier", "later"]


@pytest.mark.parametrize(
    "stamps",
    [("1711843200000000001", 1711843200000000001), ("2024-01-01T00:00:00.1234567", "2024-01-01 00:00:00.123456700")],
)
def test_the_same_moment_in_other_words_stands_twice(stamps: tuple[Any, Any]) -> None:
    (problem,) = laid(Long(id="id", time="t"), rows(*({"id": 1, "t": stamp} for stamp in stamps)), [])
    assert "twice, here and at d.csv:2" in str(problem)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"id": "a", "t": 1.0, "y": "n"}, 'd.csv:3: id "a" has t 1.0 twice, here and at d.csv:2'),
        ({"id": "a", "t": "soon", "y": "n"}, "d.csv:3: column 't' holds \"soon\", expected a number or a stamp"),
        ({"id": "a", "t": "nan", "y": "n"}, "expected a number or a stamp"),
        ({"id": "a", "t": "2024-01-01", "y": "n"}, "expected all numbers, or all stamps"),
        ({"id": "a", "t": 2, "y": "m"}, 'd.csv:3: id "a" has y "m" here and "n" at d.csv:2; expected the same'),
    ],
)
def test_a_series_that_cannot_be_made_is_named_and_the_others_are_made(second: dict[str, Any], message: str) -> None:
    given = rows({"id": "a", "t": 1, "y": "n"}, second, {"id": "b", "t": 1, "y": "n"})
    problem, other = laid(Long(id="id", time="t"), given, [], ["y"])
    assert message in str(problem)
    assert isinstance(other, Record)


def test_several_columns_tell_series_apart_and_text_is_no_prefix_of_another() -> None:
    given = rows({"a": "x", "b": "yz", "v": 1}, {"a": "xy", "b": "z", "v": 2})
    assert len(laid(Long(id=("a", "b")), given, ["v"])) == 2


def test_every_column_of_a_sheet_is_a_record() -> None:
    given = rows({"t": 2, "left": 0.3, "right": 0.8}, {"t": 1, "left": 0.1, "right": 0.7})
    left, right = laid(Wide(time="t"), given, ["value"])
    assert isinstance(left, Record)
    assert isinstance(right, Record)
    assert left.fields == {"series": "left", "value": [0.1, 0.3], "t": [1, 2]}
    assert right.fields == {"series": "right", "value": [0.7, 0.8], "t": [1, 2]}
    (only,) = laid(Wide(columns=("right",), series="sensor", value="x"), given, ["x"])
    assert isinstance(only, Record)
    assert only.fields == {"sensor": "right", "x": [0.8, 0.7]}
    assert Wide(time="t").made(["series", "value", "label"]) == {"series", "value"}


@pytest.mark.parametrize(
    ("stride", "starts", "left"), [(None, [0, 10], 5), (4, [0, 4, 8, 12], 3), (5, [0, 5, 10, 15], 0)]
)
def test_rows_behind_the_last_full_window_are_counted(stride: int | None, starts: list[int], left: int) -> None:
    layout = Windows(length=10, stride=stride, time="t")
    found = laid(layout, rows(*({"t": t, "x": t} for t in range(25))), ["x"])
    assert [one.fields["x"] for one in found if isinstance(one, Record)] == [[*range(s, s + 10)] for s in starts]
    assert layout.left_out == left


def test_no_rows_make_no_records() -> None:
    assert laid(Long(id="id"), [], []) == []
    assert laid(Wide(), [], []) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Long(id=()), "id: expected a column"),
        (lambda: Long(id=("a", "a")), "id: expected a column, or different ones"),
        (lambda: Long(id="a", time="a"), "time: is 'a', a column of id too"),
        (lambda: Wide(columns=("t",), time="t"), "columns: expected different columns, time not among them"),
        (lambda: Wide(series="v", value="v"), "two of them have the same name"),
    ],
)
def test_options_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
