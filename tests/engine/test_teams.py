"""How many threads work: by a clock of the test's own."""

from __future__ import annotations

from recurra.engine.teams import AGAIN, Team


def chosen(costs: dict[int, float], pieces: int, threads: int = 4) -> list[int]:
    """The number of threads of each piece. costs: seconds of a piece by threads, which may change on the way"""
    now, used = 0.0, []

    def work(number: int) -> int:
        nonlocal now
        now += costs[number] * 100
        return number

    team = Team(lambda: now)
    for _ in range(pieces):
        used.append(team.run(threads, 100, work))
    return used


def test_all_threads_work_where_they_are_faster_and_one_where_it_is() -> None:
    assert chosen({1: 1.0, 4: 0.4}, 6) == [4, 1, 4, 4, 4, 4]
    assert chosen({1: 1.0, 4: 3.0}, 6) == [4, 1, 1, 1, 1, 1]


def test_the_other_number_is_tried_now_and_then() -> None:
    used = chosen({1: 1.0, 4: 3.0}, 2 * AGAIN + 1)
    assert [k for k, number in enumerate(used) if number == 4] == [0, AGAIN, 2 * AGAIN]


def test_one_thread_is_one_and_an_empty_piece_says_nothing() -> None:
    assert chosen({1: 1.0}, 3, threads=1) == [1, 1, 1]
    team = Team()
    assert [team.run(2, 0, lambda number: number) for _ in range(3)] == [2, 2, 2]
