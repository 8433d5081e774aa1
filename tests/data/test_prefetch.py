"""One item ahead: order, errors, and an end of the thread."""

from __future__ import annotations

import threading

import pytest

from recurra.data.prefetch import prefetched


def test_items_come_in_order_and_one_is_made_ahead_in_a_thread() -> None:
    made: list[int] = []
    second = threading.Event()
    threads = set()

    def make(number: int) -> int:
        made.append(number)
        threads.add(threading.current_thread().name)
        if number == 2:
            second.set()
        return number * number

    items = prefetched([1, 2, 3, 4], make)
    assert next(items) == 1
    assert second.wait(10)  # the next one is made before anybody asks for it
    assert made == [1, 2]  # and only one
    assert list(items) == [4, 9, 16]
    assert threads == {"prefetch"}


def test_what_is_raised_comes_in_its_place() -> None:
    def make(number: int) -> float:
        return 1 / (number - 3)

    items = prefetched([1, 2, 3, 4], make)
    assert [next(items), next(items)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_an_iterator_that_is_closed_ends_its_thread() -> None:
    before = threading.active_count()
    items = prefetched(iter(int, 1), lambda number: number)
    next(items)
    assert threading.active_count() == before + 1
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_nothing_is_made_of_nothing() -> None:
    assert list(prefetched([], lambda number: number)) == []
