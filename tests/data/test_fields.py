"""Kinds of fields: how numbers are read, and how much of a kind a request may hold."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.fields import FIELD_KINDS, NUMBERS, TEXT, numbers_of
from recurra.data.fields.numbers import MOST_NUMBERS, MOST_STEPS
from recurra.data.fields.text import LONGEST

HERE = Origin("d.csv", 7)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1 2.5 -3e2", [[1], [2.5], [-300]]),
        ("1,2;3\t4", [[1], [2], [3], [4]]),
        ("[1, 2]", [[1], [2]]),
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ([1, 2.5], [[1], [2.5]]),
        (["1", "2.5"], [[1], [2.5]]),
        ([[1, 2], (3, 4)], [[1, 2], [3, 4]]),
        (7, [[7]]),
        ("", []),
        ([], []),
        (np.array([1, 2], dtype=np.int16), [[1], [2]]),
        (np.array([[1.0, 2.0]]), [[1, 2]]),
    ],
)
def test_numbers_are_read_from_lists_arrays_and_cells(value: object, expected: list[list[float]]) -> None:
    found = numbers_of(value, HERE, "x")
    assert found.dtype == np.float64
    assert found.tolist() == expected
    assert found.shape[1:] == (len(expected[0]) if expected else 1,)


@pytest.mark.parametrize("word", ["NaN", "NA", "null", "?", " none "])
def test_a_missing_number_is_nan_however_it_is_written(word: str) -> None:
    assert np.isnan(numbers_of([1, word, 3], HERE, "x")[1, 0])
    assert np.isnan(numbers_of([1, None, 3], HERE, "x")[1, 0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1 2 three", r"d.csv:7: column 'x', step 3: expected a number, got \"three\""),
        ([1, True, "a"], "step 2: expected a number, got true"),
        ([[1, 2], [3]], "step 2 has 1 numbers, step 1 has 2 numbers; expected as many in every step"),
        ([[1, 2], 3], "step 2 has one number and no list, step 1 has 2 numbers"),
        ("[1, 2", "which is no JSON"),
        ("[" * 100_000, "which is no JSON: is nested too deeply"),
        ('{"a": 1}', "expected numbers, one a step"),
        (True, "holds true, expected numbers"),
        (None, "holds null, expected numbers"),
        ([[[1]]], "step 1: expected a number"),
        (np.zeros((1, 1, 1)), "3 dimensions"),
        ([10**400], "step 1: expected a number"),
    ],
)
def test_what_is_no_number_is_named_with_line_column_and_step(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        numbers_of(value, HERE, "x")


def test_each_kind_has_limits_of_its_own() -> None:
    assert TEXT.of_request("x" * LONGEST) == "x" * LONGEST
    with pytest.raises(ValueError, match="at most 10,000 characters and values"):
        TEXT.of_request(["x"] * LONGEST)  # the list counts too
    long = [0.5] * MOST_STEPS
    assert NUMBERS.of_request(long) is long
    with pytest.raises(ValueError, match=f"has {MOST_STEPS + 1:,} steps"):
        NUMBERS.of_request([*long, 0.5])
    with pytest.raises(ValueError, match=f"can have {MOST_NUMBERS:,}"):
        NUMBERS.of_request([[0.5] * (MOST_NUMBERS + 1)])
    for kind in FIELD_KINDS.values():
        assert kind.of_request(kind.smallest) == kind.smallest
