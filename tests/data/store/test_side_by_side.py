"""Several readers of one pass: all get all, and none waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import pytest

from recurra.base.errors import DataError
from recurra.data.store.side_by_side import SOME, SharedPass, in_one_pass, side_by_side

NUMBER = 3 * SOME + 7


class Items:
    """Numbers, which count how often they are gone through."""

    def __init__(self, stop: int = NUMBER, error: Exception | None = None) -> None:
        self.stop, self.error, self.passes, self.ahead = stop, error, 0, 0
        self.shared: SharedPass[int] | None = None

    def _all(self) -> Iterator[int]:
        self.passes += 1
        for one in range(self.stop):
            self.ahead = one
            yield one
        if self.error is not None:
            raise self.error

    def __iter__(self) -> Iterator[int]:
        return (self.shared and self.shared.once()) or self._all()

    def read_by(self, *works: Callable[[], Any]) -> list[Any]:
        return side_by_side(lambda passing: setattr(self, "shared", passing), self._all(), *works)


def test_readers_of_one_pass_get_all_items_each_in_order() -> None:
    items = Items()
    found = in_one_pass(items, lambda: list(items), lambda: sum(items), lambda: [*islice(items, 3)], lambda: "none")
    assert found == [list(range(NUMBER)), sum(range(NUMBER)), [0, 1, 2], "none"]
    assert items.passes == 1
    assert in_one_pass(range(3), lambda: 5, lambda: 6) == [5, 6]


def test_one_who_reads_again_has_a_pass_of_its_own() -> None:
    items = Items()
    found = items.read_by(lambda: (len([*items]), len([*items])), lambda: len([*items]))
    assert found == [(NUMBER, NUMBER), NUMBER]
    assert items.passes == 2


def test_no_reader_is_far_ahead() -> None:
    items, most = Items(20 * SOME), [0]

    def slow() -> None:
        for one in items:
            most[0] = max(most[0], items.ahead - one)

    items.read_by(slow, lambda: len([*items]))
    assert most[0] <= 2 * SOME


def test_one_can_wait_for_the_end_whatever_the_others_do() -> None:
    items = Items()

    def waits() -> int:
        assert items.shared is not None
        items.shared.finish()
        return items.ahead

    assert items.read_by(waits, lambda: len([*items])) == [NUMBER - 1, NUMBER]
    assert items.read_by(lambda: [*islice(items, 2)], waits) == [[0, 1], NUMBER - 1]
    assert items.read_by(waits, waits) == [NUMBER - 1] * 2


def test_what_a_reader_or_an_item_raises_is_raised_once_all_have_ended() -> None:
    def fails(items: Items) -> None:
        for one in items:
            if one == SOME + 1:
                raise DataError("row 257")

    for first, second in ((fails, sum), (sum, fails)):
        items = Items()
        with pytest.raises(DataError, match="row 257"):
            items.read_by(partial(first, items), partial(second, items))  # type: ignore[arg-type]
    items = Items(error=DataError("the file ends"))
    with pytest.raises(DataError, match="the file ends"):
        items.read_by(lambda: len([*items]), lambda: sum(items))
