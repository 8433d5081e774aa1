"""The order of an epoch of rows in pieces of files: the written rule, every row once, and the place in it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.data.batches import Batches, part_of
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
    pieces = sorted(enumerate(raw(len(SIZES)).tolist()), key=lambda pair: pair[1])
    stream = [row for piece, _ in pieces for row in range(BOUNDS[piece], BOUNDS[piece + 1])]
    edges, found = [1], []
    while edges[-1] <= 40:
        edges.append(max(edges[-1] + 1, edges[-1] * 11 // 10))
    for first in range(0, len(stream), buffer):
        window = stream[first : first + buffer]
        keys = dict(zip(window, raw(len(window)).tolist(), strict=True))
        buckets: dict[int, list[int]] = {}
        for row in window:
            buckets.setdefault(sum(edge <= lengths[row] for edge in edges), []).append(row)
        mixed = [row for _, rows in sorted(buckets.items()) for row in dealt(rows, keys)]
        batches: list[list[int]] = []
        for row in mixed:
            now = [*batches[-1], row] if batches else []
            if not now or len(now) > most or len(now) * max(1, *(lengths[r] for r in now)) > budget:
                batches.append([])
            batches[-1].append(row)
        order = sorted(zip(raw(len(batches)).tolist(), batches, strict=True))
        found += [tuple(sorted(map(int, batch), key=stream.index)) for _, batch in order]
    return found


def dealt(rows: list[int], keys: dict[int, int]) -> list[int]:
    """Those of a bucket, one of each of S parts after the other."""
    bits = 0
    while bits < 6 and 2 ** (bits + 1) <= len(rows):
        bits += 1
    parts: list[list[int]] = [[] for _ in range(2**bits)]
    for number, row in enumerate(rows):
        parts[number * 2**bits // len(rows)].append(row)
    parts = [sorted(part, key=keys.__getitem__) for part in parts]
    turns = [int(f"{number:0{bits}b}"[::-1], 2) if bits else 0 for number in range(2**bits)]
    return [parts[turn][k] for k in range(len(rows)) for turn in turns if k < len(parts[turn])]


@pytest.mark.parametrize("buffer", [1, 4, 7, 25, 1000])
def test_the_batches_of_an_epoch_are_those_of_the_rule(buffer: int) -> None:
    for lengths in (LENGTHS, LENGTHS % 2 + 1):  # few of a length, and many
        for seed, epoch in [(0, 1), (4, 2), (2**40, 77)]:
            expected = oracle(lengths.tolist(), buffer, seed, epoch, 60, 4)
            assert list(drawn(lengths, buffer, seed, epoch)) == expected


def test_every_row_is_in_one_batch_and_no_batch_has_rows_of_two_windows() -> None:
    for epoch in range(1, 6):
        plan, stream = drawn(LENGTHS, 6, epoch=epoch), Stream(BOUNDS, 4, epoch)
        assert sorted(row for batch in plan for row in batch) == list(range(25))
        windows = [{stream.place(row) // 6 for row in batch} for batch in plan]
        assert all(len(some) == 1 for some in windows)
        assert [some.pop() for some in windows] == sorted(stream.place(batch[0]) // 6 for batch in plan)


def test_parts_of_ranks_make_up_each_batch_and_stand_near_one_another() -> None:
    lengths, bounds = np.full(1024, 5, np.int32), np.arange(0, 1025, 64)
    plan = windowed_batches(lengths, bounds, buffer=512, token_budget=10**6, max_sequences=64, seed=1, epoch=1)
    stream = Stream(bounds, 1, 1)
    for ranks in (2, 3, 5):
        for batch in plan:
            parts = [part_of(batch, rank, ranks) for rank in range(ranks)]
            assert [row for part in parts for row in part] == [*batch]
            assert len(parts[0]) == -(-64 // ranks)
            assert len(parts[-1]) == 64 // ranks
        for first in (0, 512):
            mine = [plan.examples_of_part(first, first + 512, rank, ranks) for rank in range(ranks)]
            window = stream.rows(first, first + 512)
            assert sorted(np.concatenate(mine)) == sorted(window)
            for rank, rows in enumerate(mine):
                some = [part_of(batch, rank, ranks) for batch in plan if batch[0] in window]
                assert sorted(rows) == sorted(row for part in some for row in part)
                places = [stream.place(row) - first for row in rows]
                assert 512 * rank // ranks - 8 <= min(places)
                assert max(places) < 512 * (rank + 1) // ranks + 8


def test_seeds_and_epochs_have_other_orders_of_files_and_of_rows() -> None:
    assert len({tuple(Stream(BOUNDS, 1, epoch).pieces.tolist()) for epoch in range(20)}) > 10
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
    assert Stream(BOUNDS).rows(0, 25).tolist() == list(range(25))


def test_a_buffer_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="a buffer of at least 1"):
        drawn(LENGTHS, 0)
    assert (
        list(windowed_batches(LENGTHS[:0], np.array([0]), buffer=3, token_budget=1, max_sequences=1, seed=0, epoch=1))
        == []
    )
