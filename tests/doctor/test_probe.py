"""One look: dL/dh at each step by hand, saturation by count, and a training that does not notice that it is watched."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from doctor.doctor_room import Reader, batch, loss_at_the_end, loss_everywhere, only_layer, put
from models.models_room import classifier
from models.seq2seq_room import batch as pairs
from models.seq2seq_room import log_probs, small
from recurra.base.contracts import Batch, Loss
from recurra.cells import CELLS, cell
from recurra.cells.language import sigmoid, tanh
from recurra.doctor import probe
from recurra.doctor.activations import SIGMOID_HIGH, SIGMOID_LOW, TANH_HIGH, places
from recurra.doctor.lag import by_distance
from recurra.engine.step_recording import Recording, StepRecord
from recurra.training import SCHEDULES, Rows, Stop, fit


def test_the_gradient_of_each_step_is_that_of_a_loop_written_out() -> None:
    model, data = Reader(CELLS["rnn"]), batch([5, 5])
    r = model.recurrent
    h, kept = torch.zeros(2, 4, dtype=torch.float64), []
    for x in data.inputs["features"]:
        h = torch.tanh(x @ r.weight_ih_l0.T + r.bias_ih_l0 + h @ r.weight_hh_l0.T + r.bias_hh_l0)
        h.retain_grad()
        kept.append(h)
    (sum(h.square().sum() for h in kept) / 2).backward()
    rows = [h.grad.norm(dim=1) for h in reversed(kept)]
    expected = [math.sqrt(float(row.square().mean())) for row in rows]
    layer = only_layer(model, data, loss_everywhere)
    assert layer.gradient == pytest.approx(expected, rel=1e-12)
    assert layer.flow["h"] == pytest.approx(expected, rel=1e-12)  # this cell's only activation is its output
    assert (layer.cell, layer.units, layer.rows, layer.steps) == ("rnn", 4, 2, 5)


def test_distances_are_counted_from_the_end_of_each_row_over_real_steps_alone() -> None:
    """Three rows, then two; the second one begins with padding, and the third has no step after the first moment."""
    real = [[True, False, True], [True, True], [True, True]]
    trail = Recording(
        CELLS["rnn"],
        tuple(StepRecord(t, (), {}, (torch.zeros(len(one), 2),), torch.tensor(one)) for t, one in enumerate(real)),
    )
    values = [torch.tensor([[3.0, 4.0], [9.0, 9.0], [0.0, 2.0]]), None, torch.tensor([[6.0, 8.0], [1.0, 0.0]])]
    nan = math.nan
    found, nothing = by_distance(trail, values, [None] * 3)
    np.testing.assert_array_equal(found, [[10, 1, 2], [0, 0, nan], [5, nan, nan]])
    np.testing.assert_array_equal(nothing, [[0, 0, 0], [0, 0, nan], [0, nan, nan]])


def test_loss_and_norm_are_those_of_the_step() -> None:
    model, data = Reader(CELLS["lstm"]), batch([4, 2])
    found = probe(model, data, loss_at_the_end, step=7)
    mean = loss_at_the_end(model.train()(data), data).mean
    mean.backward()
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
    assert (found.step, found.loss) == (7, pytest.approx(float(mean.detach()), rel=1e-12))
    assert found.norm == pytest.approx(norm, rel=1e-12)
    assert found.finite


def test_names_of_activations_are_those_of_the_equations() -> None:
    names = {name: [(p.name, p.kind, p.gate + p.remembers) for p in places(cell)] for name, cell in CELLS.items()}
    # 0: judged by its values; 1: a gate, or what reads a state; 2: a gate that keeps a state
    assert names["lstm"] == [
        ("i", "sigmoid", 1), ("f", "sigmoid", 2), ("g", "tanh", 0), ("o", "sigmoid", 1), ("tanh(c)", "tanh", 1),
    ]  # fmt: skip
    assert names["gru"] == [("r", "sigmoid", 1), ("z", "sigmoid", 2), ("n", "tanh", 0)]
    assert names["mgu"] == [("f", "sigmoid", 2), ("n", "tanh", 0)]  # through 1 - f
    assert names["rnn"] == [("h", "tanh", 0)]
    assert names["rnn_sigmoid"] == [("h", "sigmoid", 0)]
    assert names["rnn_relu"] == [("h", "relu", 0)]
    assert all(len({name for name, *_ in found}) == len(found) for found in names.values())


def test_a_value_is_saturated_where_its_slope_is_under_a_twentieth() -> None:
    for argument in (4.35, 4.36):
        s = 1 / (1 + math.exp(-argument))
        assert (s * (1 - s) < 0.25 / 20) == (s > SIGMOID_HIGH) == (argument > 4.355)
        assert (1 - s < SIGMOID_LOW) == (s > SIGMOID_HIGH)
        y = math.tanh(argument / 2)
        assert (1 - y * y < 1 / 20) == (y > TANH_HIGH) == (argument > 4.355)


def test_saturation_is_counted_over_real_steps_and_units() -> None:
    """The forget gate of two units of four is held open by its bias, that of one unit shut."""
    model = Reader(CELLS["lstm"])
    bias = torch.zeros(16)
    bias[4:8] = torch.tensor([50.0, 50.0, -50.0, 0.0])
    put(model.recurrent.bias_ih_l0, bias)
    put(model.recurrent.bias_hh_l0, 0.0)
    put(model.recurrent.weight_ih_l0, 0.01)
    put(model.recurrent.weight_hh_l0, 0.01)
    layer = only_layer(model, batch([5, 2], padding=math.nan))
    by_name = {one.name: one for one in layer.activations}
    assert (by_name["f"].high, by_name["f"].low, by_name["f"].stuck) == (0.5, 0.25, 0.75)
    assert by_name["f"].largest == pytest.approx(1.0)
    assert by_name["f"].smallest == pytest.approx(0.0, abs=1e-12)
    assert by_name["i"].saturated == 0.0
    assert by_name["i"].mean == pytest.approx(0.5, abs=0.05)


def test_nothing_is_known_of_rows_without_steps() -> None:
    model = Reader(CELLS["gru"])
    layer = only_layer(model, batch([3, 0]))
    assert (layer.rows, layer.steps) == (1, 3)
    data = batch([3])
    empty = Batch({"features": data.inputs["features"]}, torch.tensor([0]), {}, (0,))
    assert probe(model, empty, loss_at_the_end).layers == ()


def test_a_decoder_with_attention_is_followed_step_by_step() -> None:
    model = small(attention="additive", cell="lstm", bidirectional=True)

    def loss(prediction: Any, batch: Batch) -> Loss:
        return Loss(-log_probs(prediction.outputs)[:, :, 5].sum(), 4)

    layers = {layer.name: layer for layer in probe(model, pairs(), loss).layers}
    assert list(layers) == [
        "encoder.recurrent, forward", "encoder.recurrent, backward",
        "decoder.recurrent",
    ]  # fmt: skip
    decoder = layers["decoder.recurrent"]
    assert (decoder.rows, decoder.steps) == (4, 5)
    assert decoder.carried is not None
    assert decoder.carried.log10[0] == 0.0
    assert decoder.carried.log10[1] < 0


@cell()
def leaky(x: Any, h: Any, p: Any) -> Any:
    """Each unit forgets at a rate of its own, which no input changes."""
    a = sigmoid(p.b("a"))
    return (1 - a) * h + a * tanh(p.W("h", x))


def test_a_cell_of_ones_own_is_looked_into_like_any_other() -> None:
    """Its gate has no rows, and without recurrent weights the gradient decays by 1 - a, unit by unit."""
    model = Reader(leaky)
    put(model.recurrent.bias_ih_l0, -2.0)
    layer = only_layer(model, batch([6, 4]))
    a = 1 / (1 + math.exp(2))
    assert [(one.name, one.kind) for one in layer.activations] == [("a", "sigmoid"), ("h", "tanh")]
    assert layer.activations[0].mean == pytest.approx(a)
    assert set(layer.flow) == {"h"}
    assert layer.carried is not None
    assert layer.carried.rate == pytest.approx(1 - a, rel=1e-9)


def test_a_frozen_layer_is_followed_too_and_stays_frozen() -> None:
    model = Reader(CELLS["gru"])
    expected = only_layer(model, batch([4]))
    model.requires_grad_(False)
    assert only_layer(model, batch([4])) == expected
    assert not any(p.requires_grad for p in model.parameters())


def trained(*, watched: bool) -> tuple[nn.Module, list[float]]:
    """Six steps with every kind of dropout; `watched` looks inside before each."""
    torch.manual_seed(0)
    model = classifier(
        11, 3, embedding_size=4, hidden_size=6, num_layers=2, dropout=0.2, variational_dropout=0.2, zoneout=0.1,
        embedding_dropout=0.1,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    batches = [
        Batch(
            {"tokens": torch.randint(4, 11, (7, 5), generator=generator)}, torch.tensor([7, 2, 5, 1, 7]),
            {"labels": torch.randint(0, 3, (5,), generator=generator)}, (0, 1, 2, 3, 4),
        )
        for _ in range(6)
    ]  # fmt: skip
    losses, draws = [], []
    steps = fit(
        model, batches, loss=_cross_entropy, optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        schedule=SCHEDULES["constant"](6), on_nonfinite=Stop(Rows(str, lambda i: NotImplemented)), seed=5, epoch=1,
        steps_done=0,
    )  # fmt: skip
    for progress in steps:
        if watched:
            probe(model, batches[progress.step - 1], _cross_entropy, seed=5, step=progress.step)
        losses.append(float(progress.loss))
        draws.append(float(torch.rand(())))  # the generator goes on as if nobody had looked
    return model, losses + draws


def _cross_entropy(prediction: Any, batch: Batch) -> Loss:
    logits, labels = prediction.outputs["logits"], batch.targets["labels"]
    return Loss(nn.functional.cross_entropy(logits, labels, reduction="sum"), len(labels))


def test_training_that_is_watched_has_the_same_bits() -> None:
    (plain, losses), (seen, watched_losses) = trained(watched=False), trained(watched=True)
    assert losses == watched_losses
    for (name, a), b in zip(plain.state_dict().items(), seen.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert all(module.watch is None for module in seen.modules() if hasattr(module, "watch"))


def test_a_look_leaves_gradients_and_modes_alone() -> None:
    model, data = Reader(CELLS["gru"], zoneout=0.2).eval(), batch([4])
    loss_at_the_end(model(data), data).mean.backward()
    before = copy.deepcopy({name: p.grad for name, p in model.named_parameters()})
    probe(model, data, loss_at_the_end)
    assert not model.training
    for name, p in model.named_parameters():
        assert torch.equal(p.grad, before[name]), name
