"""The order of an epoch of rows in many files: the written rule, every row once, and the place in it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.data.batches import Batches
from recurra.data.windows import Stream, windowed_batches

SIZES = [5, 0, 12, 1, 7]
BOUNDS = np.array([0, *np.cumsum(SIZES)])
LENGTHS = np.random.default_rng(3).integers(0, 40, sum(SIZES)).astype(np.int32)


def drawn(lengths: NDArray[np.int32], buffer: int, seed: int = 4, epoch: int = 2, rows: int = 4) -> Batches:
    limits = {"token_budget": 60, "max_sequences": rows}
    return windowed_batches(lengths, BOUNDS, buffer=buffer, seed=seed, epoch=epoch, **limits)


def oracle(lengths: list[int], buffer: int, seed: int, epoch: int, budget: int, most: int) -> list[tuple[int, ...]]:
    """The rule of docs/architecture.md, with lists."""
    raw = Philox(SeedSequence((seed, epoch))).random_raw
    files = sorted(enumerate(raw(len(SIZES)).tolist()), key=lambda pair: pair[1])
    stream = [row for file, _ in files for row in range(BOUNDS[file], BOUNDS[file + 1])]
    edges, found = [1], []
    while edges[-1] <= 40:
        edges.append(max(edges[-1] + 1, edges[-1] * 11 // 10))
    for first in range(0, len(stream), buffer):
        window = stream[first : first + buffer]
        keys = raw(len(window)).tolist()
        mixed = [row for _, row in sorted(zip(keys, window, strict=True))]
        mixed.sort(key=lambda row: sum(edge <= lengths[row] for edge in edges))  # stable: by bucket
        batches: list[list[int]] = []
        for row in mixed:
            now = [*batches[-1], row] if batches else []
            if not now or len(now) > most or len(now) * max(1, *(lengths[r] for r in now)) > budget:
                batches.append([])
            batches[-1].append(row)
        order = sorted(zip(raw(len(batches)).tolist(), batches, strict=True))
        found += [tuple(int(row) for row in batch) for _, batch in order]
    return found


@pytest.mark.parametrize("buffer", [1, 4, 7, 25, 1000])
def test_the_batches_of_an_epoch_are_those_of_the_rule(buffer: int) -> None:
    for seed, epoch in [(0, 1), (4, 2), (2**40, 77)]:
        expected = oracle(LENGTHS.tolist(), buffer, seed, epoch, 60, 4)
        assert list(drawn(LENGTHS, buffer, seed, epoch)) == expected


def test_every_row_is_in_one_batch_and_no_batch_has_rows_of_two_windows() -> None:
    for epoch in range(1, 6):
        plan, stream = drawn(LENGTHS, 6, epoch=epoch), Stream(BOUNDS, 4, epoch)
        assert sorted(row for batch in plan for row in batch) == list(range(25))
        windows = [{stream.place(row) // 6 for row in batch} for batch in plan]
        assert all(len(some) == 1 for some in windows)
        assert [some.pop() for some in windows] == sorted(stream.place(batch[0]) // 6 for batch in plan)


def test_seeds_and_epochs_have_other_orders_of_files_and_of_rows() -> None:
    assert len({tuple(Stream(BOUNDS, 1, epoch).files.tolist()) for epoch in range(20)}) > 10
    assert list(drawn(LENGTHS, 6, seed=1)) != list(drawn(LENGTHS, 6, seed=2))
    even = np.full(25, 3, np.int32)
    assert list(drawn(even, 25, epoch=1)) != list(drawn(even, 25, epoch=2))
    assert [len(batch) for batch in drawn(even, 25, rows=5)] == [5] * 5


def test_a_stream_knows_where_each_row_comes() -> None:
    for stream in (Stream(BOUNDS), Stream(BOUNDS, 4, 2)):
        rows = stream.rows(0, 1000).tolist()
        assert sorted(rows) == list(range(25))
        assert [stream.place(row) for row in rows] == list(range(25))
        assert stream.rows(9, 12).tolist() == rows[9:12]
        for place, row in enumerate(rows):
            turn, before = stream.turn(place)
            assert BOUNDS[stream.files[turn]] + before == row
    assert Stream(BOUNDS).rows(0, 25).tolist() == list(range(25))


def test_a_buffer_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="a buffer of at least 1"):
        drawn(LENGTHS, 0)
    assert (
        list(windowed_batches(LENGTHS[:0], np.array([0]), buffer=3, token_budget=1, max_sequences=1, seed=0, epoch=1))
        == []
    )
