"""Ranks add up sums and divide once; none of them waits for one that is gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from recurra.base.contracts import Loss
from recurra.base.errors import TrainingError
from recurra.data.batches import epoch_batches
from recurra.data.streams import Streams
from recurra.models.latents import TopK
from recurra.tasks.bucketing import BucketSampler
from recurra.training import Group, LostError, SingleProcess
from recurra.training.loop import _count
from recurra.training.randomness import step_seed
from training.toys import on_ranks


def squares(rows: np.ndarray, weight: Parameter) -> Loss:
    """Sum over rows and real entries (w - x)^2 / 2; a row has as many targets as entries that are not NaN."""
    x = torch.from_numpy(rows[~np.isnan(rows)])
    return Loss(((weight - x) ** 2).sum() / 2, len(x))


# Lengths 4, 1, 3, 0, 2: a mean of means would weigh the targets of short rows more.
ROWS = np.full((5, 4), np.nan)
for place, length in enumerate([4, 1, 3, 0, 2]):
    ROWS[place, :length] = np.arange(length) + 10 * place


@pytest.mark.parametrize("number", [2, 3])
def test_the_gradient_is_of_the_sum_of_losses_over_the_sum_of_targets(number: int, tmp_path: Path) -> None:
    real = ROWS[~np.isnan(ROWS)]

    def work(ranks: Group) -> None:
        weight, unused = Parameter(torch.tensor(2.0, dtype=torch.float64)), Parameter(torch.ones(3))
        loss, tokens = ranks.backward(squares(ROWS[ranks.rows], weight), 10 + ranks.number, [weight, unused])
        assert weight.grad is not None
        assert weight.grad.item() == pytest.approx((2.0 - real).mean(), rel=1e-12)
        assert unused.grad is None
        assert loss.mean.item() == pytest.approx(((2.0 - real) ** 2).mean() / 2, rel=1e-6)
        assert loss.count == 10
        assert tokens == sum(10 + n for n in range(number))

    assert on_ranks(number, tmp_path, work) == [0] * number


def test_a_rank_without_rows_adds_nothing_and_gets_the_gradient(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        weight = Parameter(torch.tensor(2.0, dtype=torch.float64))
        ours = squares(ROWS[:1], weight) if ranks.number == 0 else Loss(torch.zeros(()), 0)
        loss, _ = ranks.backward(ours, 0, [weight])
        assert weight.grad is not None
        assert weight.grad.item() == 0.5
        assert loss.count == 4

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_a_batch_without_any_target_has_no_gradient(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        weight = Parameter(torch.ones(2))
        loss, _ = ranks.backward(Loss(torch.zeros(()), 0), 0, [weight])
        assert weight.grad is None
        assert loss.count == 0

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_the_bytes_of_any_rank_reach_all(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        for source, data in [(1, b"\x00of one\xff"), (0, b""), (0, b"z")]:
            assert ranks.bytes_from(source, data if ranks.number == source else None) == data

    assert on_ranks(2, tmp_path, work) == [0, 0]
    assert SingleProcess().bytes_from(0, b"alone") == b"alone"


def test_nan_of_one_rank_is_nan_for_all(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        weight = Parameter(torch.tensor(float("nan") if ranks.number else 1.0, dtype=torch.float64))
        loss, _ = ranks.backward(squares(ROWS[:1], weight), 0, [weight])
        assert weight.grad is not None
        assert weight.grad.isnan()
        assert loss.total.isnan()

    assert on_ranks(2, tmp_path, work) == [0, 0]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_states_come_together_in_the_order_of_the_batch_bit_for_bit(rows: int, tmp_path: Path) -> None:
    whole = torch.randn(rows, 3, generator=torch.Generator().manual_seed(1))
    whole[0] = torch.tensor([-0.0, float("inf"), 1e-42])

    def work(ranks: Group) -> None:
        ours = {"state.0": whole[ranks.rows], "state.1": whole[ranks.rows, :2]}
        found = ranks.whole(ours if len(whole[ranks.rows]) else {})
        bits = [value.view(torch.int32) for value in found.values()]
        assert torch.equal(bits[0], whole.view(torch.int32))
        assert torch.equal(bits[1], whole[:, :2].view(torch.int32))
        assert ranks.number or list(found) == ["state.0", "state.1"]
        assert ranks.whole({}) == {}

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_ranks_that_differ_say_so_all_of_them(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        ranks.check_alike("their place", lambda: [1.0, 2.0])
        with pytest.raises(
            TrainingError, match=r"the ranks differ in their place: expected \[1.0, 0.0\] as rank 0 has"
        ):
            ranks.check_alike("their place", lambda: [1.0, float(ranks.number)])
        assert ranks.from_first([float(ranks.number), 0.1]) == [0.0, 0.1]

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_what_one_rank_has_used_all_have(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        latent = TopK(3, {"code": 4}, k=1, dead_after=2)
        latent.used[ranks.number] = True
        _count([latent], ranks)
        _count([latent], ranks)
        assert latent.idle.tolist() == [1, 1, 2, 2]
        assert not latent.used.any()

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_a_rank_that_dies_is_noticed_by_the_others(tmp_path: Path) -> None:
    def work(ranks: Group) -> None:
        if ranks.number:
            return
        with pytest.raises(LostError, match="another rank is gone"):
            ranks.check_alike("nothing", list)

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_each_rank_draws_its_own_and_the_first_what_one_process_draws() -> None:
    assert step_seed(1, 2, 0) == step_seed(1, 2)
    assert len({step_seed(seed, step, rank) for seed in range(5) for step in range(20) for rank in range(4)}) == 400


def test_one_process_alone_does_what_a_group_does() -> None:
    weight = Parameter(torch.tensor(2.0, dtype=torch.float64))
    loss, tokens = SingleProcess().backward(squares(ROWS, weight), 7, [weight])
    real = ROWS[~np.isnan(ROWS)]
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx((2.0 - real).mean(), rel=1e-12)
    assert (loss.count, tokens) == (10, 7)


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_parts_of_a_batch_are_the_batch(number: int) -> None:
    lengths = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
    taken: list[tuple[int, ...]] = []
    order = BucketSampler(
        [type("Row", (), {"length": n})() for n in lengths],
        lambda some, indices: taken.append(tuple(indices)),  # type: ignore[arg-type, return-value]
        batch_tokens=20, batch_rows=4, seed=1,
    )  # fmt: skip
    for item in order.plan(1):
        taken.clear()
        parts = [order.batch(item, slice(rank, None, number)) for rank in range(number)]
        assert sorted(i for part in taken for i in part) == sorted(item)
        assert all(part is None or part.indices == () for part in parts)
    assert order.plan(1) == epoch_batches(lengths, token_budget=20, max_sequences=4, seed=1, epoch=1)


@pytest.mark.parametrize("number", [2, 3])
def test_the_parts_of_a_chunk_are_the_chunk(number: int) -> None:
    streams = Streams([17, 3, 9], bptt=4, rows=5, seed=1, epoch=1)
    for step in range(len(streams)):
        whole = streams[step]
        parts = [whole.of(slice(rank, None, number)) for rank in range(number)]
        for name in ("documents", "starts", "lengths", "fresh"):
            joined = np.zeros_like(getattr(whole, name))
            for rank, part in enumerate(parts):
                joined[rank::number] = getattr(part, name)
            assert np.array_equal(joined, getattr(whole, name))
