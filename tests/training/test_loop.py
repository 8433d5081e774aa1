"""fit: each step by value; randomness as a function of (seed, step); what is not finite."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.base.errors import TrainingError
from recurra.training import OPTIMIZERS, SCHEDULES, Rows, Skip, Stop
from recurra.training.clipping import clip_norm
from recurra.training.penalties import l1
from recurra.training.randomness import seed_step, step_seed
from training.toys import TOY_ROWS, Toy, run_recipe, same_bits, steps_of, toy_batch, toy_loss, toy_plan

NAN = float("nan")


class Line(nn.Module):
    """y = x w, with one weight: every number can be worked out by hand."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[weight]]))

    def forward(self, batch: Batch) -> Prediction:
        return Prediction({"y": batch.inputs["x"] * self.w[0, 0]})


def squares(prediction: Prediction, batch: Batch) -> Loss:
    return Loss((prediction.outputs["y"] ** 2).sum() / 2, len(batch.indices))


def line_batch(*xs: float) -> Batch:
    return Batch({"x": torch.tensor(xs)}, torch.ones(len(xs), dtype=torch.int64), {}, tuple(range(len(xs))))


def line_rows(*xs: float) -> Rows:
    return Rows(origin=lambda i: f"xs.csv:{i + 2}", alone=lambda i: line_batch(xs[i]))


def test_sgd_with_momentum_clipping_and_a_penalty_follows_numbers_worked_out_in_numpy():
    model = Line(2.0)
    batches = [line_batch(1.0, 3.0), line_batch(2.0), line_batch(0.1, 0.2, 0.3)]
    rule = OPTIMIZERS["sgd"](model.parameters(), lr=0.1, momentum=0.9)
    seen = steps_of(
        model, batches, loss=squares, optimizer=rule, schedule=SCHEDULES["linear"](3, warmup=0),
        clipping=clip_norm(max_norm=4.0), penalties=[l1(strength=0.25)],
    )  # fmt: skip
    w, v, expected = 2.0, 0.0, []
    for t, xs in enumerate([[1.0, 3.0], [2.0], [0.1, 0.2, 0.3]]):
        mean_square = np.square(xs).mean()
        lr = 0.1 * (3 - t) / 3
        g = w * mean_square + 0.25 * np.sign(w)
        expected.append((t + 1, w * w * mean_square / 2, lr, abs(g)))
        v = 0.9 * v + min(1.0, 4.0 / abs(g)) * g
        w -= lr * v
    got = [(p.step, float(p.loss), p.lr, float(p.grad_norm)) for p in seen]
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # float32
    assert model.w.item() == pytest.approx(w, rel=1e-5)
    assert [(p.epoch, p.tokens) for p in seen] == [(1, 2), (1, 1), (1, 3)]


def test_a_step_is_the_gradient_of_the_mean_over_targets_not_over_rows():
    def of_four_targets(prediction: Prediction, batch: Batch) -> Loss:
        return Loss((prediction.outputs["y"]).sum(), 4)

    model = Line(0.0)
    steps_of(model, [line_batch(1.0, 7.0)], loss=of_four_targets)
    assert model.w.item() == pytest.approx(-0.1 * 8 / 4)


def test_steps_count_on_from_those_done_and_the_progress_stands_apart_from_the_graph():
    (only,) = steps_of(Line(), [line_batch(1.0)], loss=squares, steps_done=41, epoch=7)
    assert (only.step, only.epoch) == (42, 7)
    assert not only.loss.requires_grad


def test_the_model_trains_again_after_the_caller_evaluated_it_between_two_steps():
    model = Toy()
    modes = []
    model.register_forward_hook(lambda *_: modes.append(model.training))
    from recurra.training import fit

    for _ in fit(
        model, [toy_batch([0]), toy_batch([1])], loss=toy_loss, optimizer=OPTIMIZERS["sgd"](model.parameters()),
        schedule=SCHEDULES["constant"](2), on_nonfinite=Stop(TOY_ROWS), seed=0, epoch=1, steps_done=0,
    ):  # fmt: skip
        model.eval()
    assert modes == [True, True]


def test_a_part_that_the_caller_evaluated_alone_trains_again():
    model = torch.nn.ModuleDict({"whole": Toy(), "part": torch.nn.Dropout()})
    modes = []
    from recurra.training import fit

    for _ in fit(
        model, [toy_batch([0]), toy_batch([1])], loss=toy_loss, optimizer=OPTIMIZERS["sgd"](model.parameters()),
        schedule=SCHEDULES["constant"](2), on_nonfinite=Stop(TOY_ROWS), seed=0, epoch=1, steps_done=0,
        forward=lambda batch: modes.append(model["part"].training) or model["whole"](batch),
    ):  # fmt: skip
        model["part"].eval()
    assert modes == [True, True]


def test_dropout_is_a_function_of_seed_and_step_and_of_nothing_else():
    def losses(seed: int, done: int) -> list[float]:
        torch.rand(done + 3)  # whatever happened to the global generator before
        batches = [toy_batch([0, 1, 2])] * (4 - done)
        model = Toy(dropout=0.5)
        frozen = OPTIMIZERS["sgd"](model.parameters(), lr=1e-30)  # so that only dropout moves the loss
        return [float(p.loss) for p in steps_of(model, batches, seed=seed, steps_done=done, optimizer=frozen)]

    whole = losses(seed=3, done=0)
    assert losses(seed=3, done=2) == whole[2:]
    assert len(set(whole)) == 4
    assert losses(seed=4, done=0) != whole


def test_the_seed_of_a_step_is_pinned_because_old_runs_must_resume():
    assert step_seed(0, 1) == 16391025118301561064
    assert len({step_seed(s, t) for s in range(30) for t in range(30)}) == 900


def test_a_device_that_is_neither_a_processor_nor_of_cuda_is_seeded_in_its_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds = []
    monkeypatch.setattr(torch.mps, "manual_seed", seeds.append)
    for name in ("mps", "cpu"):
        seed_step(0, 1, torch.device(name))
        assert torch.initial_seed() == step_seed(0, 1)
    assert seeds == [step_seed(0, 1)]


def toy_where(poison) -> tuple[Toy, list[Batch], Rows]:
    return Toy(), [toy_batch(indices) for indices in toy_plan(1)], TOY_ROWS


def test_a_loss_that_is_nan_in_one_row_stops_with_the_row_and_leaves_the_weights():
    xs = (1.0, 2.0, NAN, 4.0)
    model = Line(1.5)
    with pytest.raises(TrainingError) as caught:
        steps_of(model, [line_batch(1.0), line_batch(*xs)], loss=squares, on_nonfinite=Stop(line_rows(*xs)))
    assert str(caught.value).startswith("xs.csv:4: step 2: expected a finite loss, got nan.")
    assert "on_nonfinite: skip" in str(caught.value)
    assert model.w.item() == pytest.approx(1.5 - 0.1 * 1.5)


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf, 1e30])
def test_whichever_row_is_bad_is_the_one_named(row, bad):
    xs = [1.0, 2.0, 3.0, 4.0]
    xs[row] = bad  # 1e30 squared is beyond float32
    with pytest.raises(TrainingError, match=rf"^xs\.csv:{row + 2}: step 1: expected a finite loss, got (nan|inf)\."):
        steps_of(Line(), [line_batch(*xs)], loss=squares, on_nonfinite=Stop(line_rows(*xs)))


def test_two_bad_rows_are_both_named():
    xs = (NAN, 1.0, math.inf)
    with pytest.raises(TrainingError, match=r"^xs\.csv:2, xs\.csv:4: step 1"):
        steps_of(Line(), [line_batch(*xs)], loss=squares, on_nonfinite=Stop(line_rows(*xs)))


def root(prediction: Prediction, batch: Batch) -> Loss:
    """Finite at 0, with an infinite slope there."""
    return Loss(prediction.outputs["y"].abs().sqrt().sum(), len(batch.indices))


def test_a_gradient_that_is_not_finite_is_found_though_the_loss_is_and_names_the_parameter():
    xs = (1.0, 0.0)
    with pytest.raises(TrainingError) as caught:
        steps_of(Line(), [line_batch(*xs)], loss=root, on_nonfinite=Stop(line_rows(*xs)))
    assert "xs.csv:3: step 1: expected a finite gradient, got nan, first in parameter 'w'" in str(caught.value)


def test_a_gradient_norm_beyond_its_type_is_said_to_be_just_that():
    class TwoWeights(Line):
        def __init__(self) -> None:
            super().__init__()
            self.u = nn.Parameter(torch.ones(2))

        def forward(self, batch: Batch) -> Prediction:
            return Prediction({"y": batch.inputs["x"] * (self.w.sum() + self.u.sum()) * 2e38})

    def linear(prediction: Prediction, batch: Batch) -> Loss:
        return Loss(prediction.outputs["y"].sum(), 1)

    model = TwoWeights()
    with pytest.raises(
        TrainingError, match=r"xs\.csv:2: step 1: expected a finite gradient norm, got inf: .* too large"
    ):
        steps_of(model, [line_batch(0.5)], loss=linear, on_nonfinite=Stop(line_rows(0.5)))


def test_an_overflow_in_half_precision_is_found():
    model = Line(300.0).half()
    batch = Batch({"x": torch.tensor([300.0]).half()}, torch.tensor([1]), {}, (0,))
    with pytest.raises(TrainingError, match=r"expected a finite loss, got inf"):
        steps_of(model, [batch], loss=squares, on_nonfinite=Stop(Rows(lambda i: "h.csv:2", lambda i: batch)))


def test_a_batch_without_targets_stops_and_is_named():
    def of_nothing(prediction: Prediction, batch: Batch) -> Loss:
        return Loss(prediction.outputs["y"].sum() * 0, 0)

    with pytest.raises(TrainingError, match=r"^xs\.csv:2: step 1: expected a batch with targets, got none"):
        steps_of(Line(), [line_batch(1.0)], loss=of_nothing, on_nonfinite=Stop(line_rows(1.0)))


def test_an_update_that_overflowed_is_blamed_on_the_learning_rate_not_on_the_data():
    model = Line(1.0)
    huge = OPTIMIZERS["sgd"](model.parameters(), lr=3e38)
    with pytest.raises(
        TrainingError, match=r"^step 2: parameter 'w' was not finite before .* learning rate \(now 3e\+38\)"
    ):
        steps_of(model, [line_batch(2.0)] * 2, loss=squares, optimizer=huge, on_nonfinite=Stop(line_rows(2.0)))


def test_a_loss_that_only_the_whole_batch_breaks_lists_the_batch():
    def of_the_batch(prediction: Prediction, batch: Batch) -> Loss:
        y = prediction.outputs["y"]
        return Loss(y.sum() * (NAN if len(y) > 1 else 1.0), len(y))

    xs = tuple(map(float, range(7)))
    with pytest.raises(TrainingError) as caught:
        steps_of(Line(), [line_batch(*xs)], loss=of_the_batch, on_nonfinite=Stop(line_rows(*xs)))
    assert str(caught.value).startswith("xs.csv:2, xs.csv:3, xs.csv:4, xs.csv:5, xs.csv:6 and 2 more rows: step 1")
    assert "No row does this alone" in str(caught.value)


def test_a_model_that_cannot_run_one_row_still_gets_the_batch_named():
    def alone(index: int) -> Batch:
        raise RuntimeError("size mismatch")

    stop = Stop(Rows(lambda i: f"xs.csv:{i + 2}", alone))
    with pytest.raises(TrainingError, match=r"^xs\.csv:2, xs\.csv:3: step 1: expected a finite loss"):
        steps_of(Line(), [line_batch(1.0, NAN)], loss=squares, on_nonfinite=stop)


def test_skip_goes_on_as_if_the_bad_batch_had_not_moved_anything():
    xs = (NAN,)
    model, twin = Line(1.0), Line(1.0)
    momentum = {"lr": 0.1, "momentum": 0.9}
    skip = Skip(line_rows(*xs))
    seen = steps_of(
        model, [line_batch(1.0), line_batch(*xs), line_batch(2.0)], loss=squares, on_nonfinite=skip,
        optimizer=OPTIMIZERS["sgd"](model.parameters(), **momentum),
    )  # fmt: skip
    steps_of(
        twin,
        [line_batch(1.0), line_batch(2.0)],
        loss=squares,
        optimizer=OPTIMIZERS["sgd"](twin.parameters(), **momentum),
    )
    assert torch.equal(model.w, twin.w)
    assert [p.step for p in seen] == [1, 2, 3]
    assert math.isnan(seen[1].loss)
    assert skip.skipped == 1
    assert skip.notes[0].startswith("xs.csv:2: step 2")


def test_the_search_for_the_row_leaves_the_running_model_alone():
    class Counting(Line):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, batch: Batch) -> Prediction:
            self.calls += 1
            return super().forward(batch)

    model = Counting()
    steps_of(model, [line_batch(1.0, NAN)], loss=squares, on_nonfinite=Skip(line_rows(1.0, NAN)))
    assert model.calls == 1


def test_skip_stops_when_nothing_but_bad_batches_comes_and_good_ones_start_the_count_again():
    bad, good = line_batch(NAN), line_batch(1.0)
    skip = Skip(line_rows(NAN), most_in_a_row=3)
    steps_of(Line(), [bad, bad, good, bad, bad, good], loss=squares, on_nonfinite=skip)
    assert skip.skipped == 4
    with pytest.raises(TrainingError, match=r"bad batch 3 in a row, so skipping does not help"):
        steps_of(Line(), [bad, bad, bad], loss=squares, on_nonfinite=skip, steps_done=6)


def test_skip_counts_on_after_a_resume():
    first, second = (Skip(line_rows(NAN), most_in_a_row=2) for _ in range(2))
    steps_of(Line(), [line_batch(NAN)], loss=squares, on_nonfinite=first)
    second.restore(copy.deepcopy(first.state()))
    with pytest.raises(TrainingError, match="bad batch 2 in a row"):
        steps_of(Line(), [line_batch(NAN)], loss=squares, on_nonfinite=second, steps_done=1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_seven_steps_then_a_resume_give_the_bits_of_an_undisturbed_run(optimizer, schedule, tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "cut").mkdir()
    whole = run_recipe(tmp_path / "whole", optimizer=optimizer, schedule=schedule, save_every=100)
    assert run_recipe(tmp_path / "cut", optimizer=optimizer, schedule=schedule, save_every=7, stop_after=7) is None
    resumed = run_recipe(tmp_path / "cut", optimizer=optimizer, schedule=schedule, save_every=100)
    assert same_bits(whole, resumed)
    assert (tmp_path / "cut/log.jsonl").read_bytes() == (tmp_path / "whole/log.jsonl").read_bytes()


@pytest.mark.parametrize("stops", [[1, 6, 8, 12, 17], [5, 5, 11], [6], [18]])
def test_examples_come_in_the_order_of_an_undisturbed_run_wherever_it_was_stopped(stops, tmp_path):
    seen: list[tuple[int, tuple[int, ...]]] = []
    for stop in [*stops, None]:
        run_recipe(tmp_path, stop_after=stop, seen=lambda step, indices: seen.append((step, indices)))
    expected = [tuple(indices) for epoch in (1, 2, 3) for indices in toy_plan(epoch)]
    assert seen == list(enumerate(expected, start=1))


def test_batches_that_are_accumulated_move_the_weights_as_one_large_batch():
    """Targets are counted over all of a step, so batches of 3, 1 and 2 targets weigh so much; the last step has two."""
    xs = [(1.0, 3.0, 2.0), (2.0,), (0.5, 0.25), (4.0,), (1.5, 1.0)]
    small, large = Line(2.0), Line(2.0)
    rules = [OPTIMIZERS["sgd"](model.parameters(), lr=0.01, momentum=0.9) for model in (small, large)]
    options = {"loss": squares, "schedule": SCHEDULES["constant"](2)}
    many = steps_of(small, [line_batch(*x) for x in xs], optimizer=rules[0], accumulate=3, **options)
    one = steps_of(
        large, [line_batch(*xs[0], *xs[1], *xs[2]), line_batch(*xs[3], *xs[4])], optimizer=rules[1], **options
    )
    assert [(p.step, p.tokens) for p in many] == [(1, 6), (2, 3)]
    for mine, theirs in zip(many, one, strict=True):
        assert float(mine.loss) == pytest.approx(float(theirs.loss), rel=1e-6)  # float32, summed in another order
        assert float(mine.grad_norm) == pytest.approx(float(theirs.grad_norm), rel=1e-6)
    assert small.w.item() == pytest.approx(large.w.item(), rel=1e-6)


class Counting(Line):
    """Counts its updates."""

    updates = 0

    def updated(self) -> None:
        self.updates += 1


def test_what_counts_updates_counts_steps_and_not_batches():
    model = Counting(2.0)
    rule = OPTIMIZERS["sgd"](model.parameters(), lr=0.01)
    batches = [line_batch(1.0), line_batch(2.0), line_batch(3.0), line_batch(), line_batch()]
    steps_of(
        model, batches, optimizer=rule, accumulate=2, loss=squares, schedule=SCHEDULES["constant"](3),
        on_nonfinite=lambda failure: None,
    )  # fmt: skip
    assert model.updates == 3  # the last one is of no row, as on a rank that has none of a batch


def test_of_accumulated_batches_the_one_that_is_not_finite_is_named():
    bad = Batch({"x": torch.tensor([NAN])}, torch.ones(1, dtype=torch.int64), {}, (1,))
    with pytest.raises(TrainingError, match=r"xs\.csv:3"):
        steps_of(
            Line(), [line_batch(1.0), bad, line_batch(1.0)],
            loss=squares, optimizer=OPTIMIZERS["sgd"]([torch.nn.Parameter(torch.zeros(1))]), accumulate=3,
            schedule=SCHEDULES["constant"](1), on_nonfinite=Stop(line_rows(1.0, NAN, 1.0)),
        )  # fmt: skip


def test_the_parts_of_a_loss_are_those_of_all_batches_of_a_step():
    def parted(prediction: Prediction, batch: Batch) -> Loss:
        found = squares(prediction, batch)
        return Loss(found.total, found.count, {f"of {len(batch.indices)}": found.total.detach()})

    (step,) = steps_of(
        Line(2.0), [line_batch(1.0, 3.0), line_batch(2.0)], loss=parted, accumulate=2,
        optimizer=OPTIMIZERS["sgd"]([torch.nn.Parameter(torch.zeros(1))]),
    )  # fmt: skip
    # 4 (1 + 9) / 2 and 4 * 4 / 2 nats, of three targets
    assert {name: float(part) for name, part in step.parts.items()} == pytest.approx({"of 2": 20 / 3, "of 1": 8 / 3})
