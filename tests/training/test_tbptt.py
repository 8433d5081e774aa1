"""States carried from batch to batch: what is kept, what is forgotten, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.base.errors import ShapeError
from recurra.training import OPTIMIZERS, SCHEDULES, Rows, Stop, TruncatedBPTT, fit


class Counter(nn.Module):
    """Adds up what each row reads, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch: Batch) -> Prediction:
        x = batch.inputs["x"]
        before = batch.inputs.get("state.0", torch.zeros(len(x), 1))
        if "fresh" in batch.inputs:
            before = torch.where(batch.inputs["fresh"].unsqueeze(1), 0.0, before)
        total = before + self.weight * x.unsqueeze(1)
        return Prediction({"total": total.squeeze(1), "state.0": total})


def batch_of(values: list[float], fresh: list[bool] | None) -> Batch:
    inputs = {"x": torch.tensor(values)} | ({} if fresh is None else {"fresh": torch.tensor(fresh)})
    return Batch(inputs, torch.ones(len(values), dtype=torch.int64), {}, tuple(range(len(values))))


def totals(carry: TruncatedBPTT, values: list[float], fresh: list[bool] | None) -> list[float]:
    return carry(batch_of(values, fresh)).outputs["total"].tolist()


def test_rows_go_on_until_they_are_fresh() -> None:
    carry = TruncatedBPTT(Counter())
    assert totals(carry, [1, 2], [False, False]) == [1, 2]
    assert totals(carry, [1, 2], [False, True]) == [2, 2]
    assert totals(carry, [1, 2], [False, False]) == [3, 4]
    assert totals(carry, [1, 2], None) == [1, 2]
    carry.reset()
    assert totals(carry, [5, 6], [False, False]) == [5, 6]


def test_no_gradient_flows_into_the_batch_before() -> None:
    model = Counter()
    carry = TruncatedBPTT(model)
    carry(batch_of([3.0], [True]))
    carry(batch_of([4.0], [False])).outputs["total"].sum().backward()  # type: ignore[no-untyped-call]
    assert model.weight.grad is not None
    assert model.weight.grad.item() == 4


def test_a_state_that_is_kept_and_restored_goes_on_as_if_nothing_had_happened() -> None:
    model = Counter()
    first = TruncatedBPTT(model)
    first(batch_of([1, 2], [True, True]))
    kept = first.state()
    second = TruncatedBPTT(model)
    second.restore(kept)
    first(batch_of([9, 9], [False, False]))
    assert totals(second, [1, 1], [False, False]) == [2, 3]
    assert kept["state.0"].tolist() == [[1], [2]]


def test_a_row_that_is_not_finite_begins_anew_and_the_others_go_on() -> None:
    carry = TruncatedBPTT(Counter())
    totals(carry, [float("nan"), 2, float("inf")], [True] * 3)
    assert totals(carry, [1, 1, 1], [False] * 3) == [1, 3, 1]


class Two(nn.Module):
    """Two states: what it is given, and a count of steps."""

    def forward(self, batch: Batch) -> Prediction:
        before = batch.inputs.get("state.1", torch.zeros(len(batch.lengths), 1))
        return Prediction({"state.0": batch.inputs["x"].unsqueeze(1), "state.1": before + 1})


def test_all_states_of_a_row_begin_anew_together() -> None:
    carry = TruncatedBPTT(Two())
    for _ in range(2):
        carry(batch_of([1.0, float("inf")], [False, False]))
    assert carry.state()["state.0"].tolist() == [[1.0], [0.0]]
    assert carry.state()["state.1"].tolist() == [[2.0], [0.0]]


def test_other_rows_are_refused_unless_all_are_fresh() -> None:
    carry = TruncatedBPTT(Counter())
    totals(carry, [1, 2], [True, True])
    with pytest.raises(ShapeError, match="a batch of 3 rows follows one of 2"):
        totals(carry, [1, 2, 3], [True, False, True])
    assert totals(carry, [1, 2, 3], [True, True, True]) == [1, 2, 3]


def test_the_loop_trains_through_a_carry() -> None:
    model = Counter()
    carry = TruncatedBPTT(model)
    seen: list[float] = []

    def loss(prediction: Prediction, batch: Batch) -> Loss:
        total: Tensor = prediction.outputs["total"]
        seen.append(total.item())
        return Loss(total.sum(), 1)

    batches = [batch_of([1.0], [True]), batch_of([1.0], [False]), batch_of([1.0], [False])]
    for _ in fit(
        model,
        batches,
        loss=loss,
        optimizer=OPTIMIZERS["sgd"](model.parameters(), lr=0.5),
        schedule=SCHEDULES["constant"](3),
        on_nonfinite=Stop(Rows(str, lambda i: batches[0])),
        seed=0,
        epoch=1,
        steps_done=0,
        forward=carry,
    ):
        pass
    # The weight is 1, 0.5, 0: each step's gradient is that of its own chunk, 1, and the sums are 1, 1.5, 1.5.
    assert seen == [1.0, 1.5, 1.5]
