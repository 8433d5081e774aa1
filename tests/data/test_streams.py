"""Streams for truncated back-propagation: every step of every document once, in order, states where they belong."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.errors import ConfigError
from recurra.data.streams import Streams

LENGTHS = st.lists(st.integers(0, 40), max_size=12)


def read(streams: Streams) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int, bool]]]]:
    """For each row the (document, position) pairs that it reads, and its chunks as (document, start, fresh)."""
    steps: list[list[tuple[int, int]]] = [[] for _ in range(streams.rows)]
    chunks: list[list[tuple[int, int, bool]]] = [[] for _ in range(streams.rows)]
    for k in range(len(streams)):
        batch = streams[k]
        rows = zip(batch.documents.tolist(), batch.starts.tolist(), batch.lengths.tolist(), batch.fresh, strict=True)
        for row, (document, start, length, fresh) in enumerate(rows):
            steps[row] += [(document, start + t) for t in range(length)]
            if length:
                chunks[row].append((document, start, bool(fresh)))
            else:
                assert not fresh
    return steps, chunks


@given(LENGTHS, st.integers(1, 9), st.integers(1, 6), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_each_step_of_each_document_is_read_once_and_a_row_reads_on_unless_it_begins_anew(
    lengths: list[int], bptt: int, rows: int, seed: int, epoch: int
) -> None:
    streams = Streams(lengths, bptt=bptt, rows=rows, seed=seed, epoch=epoch)
    steps, chunks = read(streams)
    everything = sorted(step for row in steps for step in row)
    assert everything == sorted((d, t) for d, length in enumerate(lengths) for t in range(length))
    for row, found in zip(steps, chunks, strict=True):
        begins = {(document, start) for document, start, fresh in found if fresh}
        for before, after in pairwise(row):
            assert after == (before[0], before[1] + 1) or (after in begins and after[1] == 0)
        assert not row or row[0] in begins
        # Inside a row only the start of a document is fresh: the state goes on everywhere else.
        assert all(start == 0 for _, start, fresh in found[1:] if fresh)
    for k in range(len(streams)):
        assert 1 <= streams[k].lengths.max() <= bptt
    sizes = [len(found) for found in chunks]
    assert not sizes or max(sizes) - min(sizes) <= 1, "no row is idle while others work"


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def of(seed: int, epoch: int) -> object:
        return read(Streams(range(3, 30), bptt=7, rows=4, seed=seed, epoch=epoch))

    assert of(1, 2) == of(1, 2)
    assert of(1, 2) != of(1, 3)
    assert of(1, 2) != of(2, 2)


def test_one_long_document_is_shared_out_evenly_and_cut_at_other_places_in_each_epoch() -> None:
    places = set()
    for epoch in range(1, 30):
        streams = Streams([10_000], bptt=35, rows=20, seed=1, epoch=epoch)
        assert len(streams) in (15, 14)
        assert streams[0].fresh.all()
        assert not any(streams[k].fresh.any() for k in range(1, len(streams)))
        places.add(int(streams[0].lengths[0]))
    assert len(places) > 10


def test_a_corpus_smaller_than_a_chunk_or_with_fewer_chunks_than_rows_has_fewer_rows() -> None:
    streams = Streams([5], bptt=35, rows=20, seed=1, epoch=1)
    assert (streams.rows, len(streams), streams[0].lengths.tolist()) == (1, 1, [5])
    assert Streams([3, 0, 4], bptt=35, rows=20, seed=1, epoch=1).rows == 2
    assert len(Streams([], bptt=35, rows=20, seed=1, epoch=1)) == 0


@pytest.mark.parametrize("wrong", [{"bptt": 0}, {"rows": 0}, {"seed": -1}, {"epoch": -1}, {"lengths": [3, -1]}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    options = {"lengths": [5], "bptt": 3, "rows": 2, "seed": 0, "epoch": 0, **wrong}
    with pytest.raises(ConfigError, match="streams: expected bptt and rows of at least 1"):
        Streams(options.pop("lengths"), **options)  # type: ignore[arg-type]
