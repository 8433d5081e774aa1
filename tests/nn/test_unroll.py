"""Layers step by step against the same layers in one call, and in decoding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from conformance.battery import zoneout_of
from recurra.cells import CELLS
from recurra.engine import cpu
from recurra.lower import projects
from recurra.nn import Recurrent
from recurra.nn.incremental import IncrementalRNN
from recurra.nn.unroll import Unrolled

S, N, I = 5, 3, 4
States = tuple[tuple[Tensor, ...], ...]


def layers(cell: str, num_layers: int = 2, **options: Any) -> Recurrent:
    torch.manual_seed(0)
    proj = 2 if projects(CELLS[cell]) else 0
    return Recurrent(I, 3, num_layers, cell=cell, proj_size=proj, **options)


def numbers(layer: Recurrent, dtype: torch.dtype = torch.float64) -> tuple[Tensor, States]:
    """An input (S, N, I) and first states, by layer and state."""
    torch.manual_seed(1)
    x = torch.randn(S, N, I, dtype=dtype)
    states = tuple(tuple(torch.rand(N, w, dtype=dtype) for w in layer.state_sizes()) for _ in range(layer.num_layers))
    return x, states


def at_once(layer: Recurrent, x: Tensor, states: States, lengths: Tensor | None = None) -> Tensor:
    stacked = tuple(torch.stack(column) for column in zip(*states, strict=True))
    output: Tensor = layer(x, stacked if len(stacked) > 1 else stacked[0], lengths=lengths)[0]
    return output


def step_by_step(
    layer: Recurrent, x: Tensor, states: States, known: int, heights: tuple[int, ...] = (N,) * S
) -> Tensor:
    """(S, N, H), with zeros below a step's height."""
    packed = torch.cat([x[t, :rows, :known] for t, rows in enumerate(heights)])
    unrolled, outputs = Unrolled(layer, packed, heights), []
    for t, rows in enumerate(heights):
        states = tuple(tuple(s[:rows] for s in layer_states) for layer_states in states)
        states = unrolled.step(t, x[t, :rows, known:] if known < I else None, states)
        outputs.append(torch.nn.functional.pad(states[-1][0], (0, 0, 0, N - rows)))
    unrolled.finish()
    return torch.stack(outputs)


@pytest.mark.parametrize("known", [0, 1, I])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"zoneout": 0.3}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_step_by_step_is_the_same_as_at_once_gradients_included(cell: str, options: dict[str, Any], known: int) -> None:
    """In evaluation, where zoneout is its expectation. Only the order of summation differs."""
    if "zoneout" in options:
        options = {"zoneout": zoneout_of(CELLS[cell], options["zoneout"])}
    layer = layers(cell, dtype=torch.float64, **options).eval()
    x, states = numbers(layer)
    leaves = [x.requires_grad_(), *(s.requires_grad_() for row in states for s in row), *layer.parameters()]
    one, other = at_once(layer, x, states), step_by_step(layer, x, states, known)
    torch.testing.assert_close(other, one, atol=1e-12, rtol=0)
    for a, b in zip(*(torch.autograd.grad(o.square().sum(), leaves) for o in (one, other)), strict=True):
        torch.testing.assert_close(b, a, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("known", [0, 1, I])
@pytest.mark.parametrize("cell", CELLS)
def test_steps_of_fewer_and_fewer_rows_are_the_same_as_sequences_that_end(cell: str, known: int) -> None:
    """Outputs and all gradients, against one call with lengths 5, 3 and 2."""
    layer = layers(cell, dtype=torch.float64, zoneout=zoneout_of(CELLS[cell], 0.3)).eval()
    x, states = numbers(layer)
    leaves = [x.requires_grad_(), *(s.requires_grad_() for row in states for s in row), *layer.parameters()]
    one = at_once(layer, x, states, torch.tensor([5, 3, 2]))
    other = step_by_step(layer, x, states, known, (3, 3, 2, 1, 1))
    torch.testing.assert_close(other, one, atol=1e-12, rtol=0)
    for a, b in zip(*(torch.autograd.grad(o.square().sum(), leaves) for o in (one, other)), strict=True):
        torch.testing.assert_close(b, a, atol=1e-11, rtol=1e-11)


def test_zoneout_keeps_units_of_the_rows_that_go_on() -> None:
    """h_t = 2 h_{t-1}, or h_{t-1} where it is kept: powers of two, of each step's own draws."""
    layer = layers("rnn_relu", 1, bias=False, zoneout=0.5, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(2 * torch.eye(3))
    nothing, ones = torch.zeros(S, N, I).double(), ((torch.ones(N, 3).double(),),)
    out = step_by_step(layer, nothing, ones, 2, (3, 3, 2, 1, 1))
    for t, rows in enumerate((3, 3, 2, 1, 1)):
        before = out[t - 1, :rows] if t else ones[0][0]
        assert set((out[t, :rows] / before).unique().tolist()) <= {1.0, 2.0}
    assert {1.0, 2.0} == set((out[1] / out[0]).unique().tolist())


def test_gradients_are_the_same_when_asked_for_twice_or_for_the_input_alone() -> None:
    layer = layers("gru", dtype=torch.float64)
    x, states = numbers(layer)
    loss = step_by_step(layer, x.requires_grad_(), states, 2).square().sum()
    weight = layer.weight_hh_l0
    first = torch.autograd.grad(loss, [x, weight], retain_graph=True)
    (alone,) = torch.autograd.grad(loss, [x], retain_graph=True)
    again = torch.autograd.grad(loss, [x, weight])
    assert torch.equal(first[0], alone)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    layer = layers("lstm", dtype=torch.float64)
    x, states = numbers(layer)
    (d,) = torch.autograd.grad(step_by_step(layer, x.requires_grad_(), states, 2).sum(), [x], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        d.sum().backward()


@pytest.mark.parametrize("known", [0, 2, I])
def test_zoneout_acts_in_training_as_in_one_call(known: int) -> None:
    """One mask a state, for all steps: the same draws from the same seed."""
    layer = layers("lstm", 1, dtype=torch.float64, zoneout=0.5)
    x, states = numbers(layer)
    torch.manual_seed(2)
    one = at_once(layer, x, states)
    torch.manual_seed(2)
    torch.testing.assert_close(step_by_step(layer, x, states, known), one, atol=1e-12, rtol=0)
    assert not torch.allclose(at_once(layer.eval(), x, states), one)


@pytest.mark.parametrize("known", [0, 1, 2, I])
def test_a_locked_mask_is_one_for_all_steps_and_each_part_of_the_input(known: int) -> None:
    """One cell, identity-like: h_t = x_t W with no recurrence, so a dropped feature is dropped at every step."""
    layer = layers("rnn_relu", 1, bias=False, variational_dropout=0.5, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        layer.weight_ih_l0.copy_(torch.eye(4)[:3])
    x = torch.ones(S, N, I, dtype=torch.float64)
    heights = (3, 3, 2, 1, 1)
    out = step_by_step(layer, x, ((torch.zeros(N, 3, dtype=torch.float64),),), known, heights)
    assert set(out[0].unique().tolist()) == {0.0, 2.0}
    for t, rows in enumerate(heights):
        assert torch.equal(out[t, :rows], out[0, :rows])


def test_a_recurrent_mask_is_one_for_all_steps() -> None:
    """h_t = h_{t-1} and no input, so a unit doubles at every step, or is gone from the first one on."""
    layer = layers("rnn_relu", 1, bias=False, variational_dropout=0.5, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.eye(3))
    heights = (3, 3, 2, 1, 1)
    out = step_by_step(layer, torch.zeros(S, N, I).double(), ((torch.ones(N, 3).double(),),), 2, heights)
    assert set(out[0].unique().tolist()) == {0.0, 2.0}
    for t, rows in enumerate(heights):
        assert torch.equal(out[t, :rows], 2.0**t * out[0, :rows])


def test_dropout_between_layers_acts_in_training_only() -> None:
    layer = layers("gru", dropout=0.5)
    x, states = numbers(layer, torch.float32)
    assert not torch.equal(step_by_step(layer, x, states, 2), step_by_step(layer, x, states, 2))
    layer.eval()
    torch.testing.assert_close(step_by_step(layer, x, states, 2), at_once(layer, x, states))


@pytest.mark.parametrize("cell", CELLS)
def test_decoding_steps_are_those_of_the_layer_and_run_on_the_native_engine(cell: str) -> None:
    layer = layers(cell, dropout=0.5)  # in training mode: a step of decoding has no dropout all the same
    x, states = numbers(layer, torch.float32)
    expected = at_once(layers(cell).eval(), x, states)
    with torch.no_grad():
        steps = IncrementalRNN(layer)
        assert bool(steps.steppers) == cpu.available()
        for t in range(S):
            states = steps(x[t], states)
            torch.testing.assert_close(states[-1][0], expected[t], atol=4e-6, rtol=0)
    assert layer.training


@pytest.mark.parametrize("options", [{"zoneout": 0.2}, {"backend": "reference"}], ids=str)
def test_decoding_steps_without_the_native_engine_are_the_same(options: dict[str, Any]) -> None:
    layer = layers("lstm", **options)
    x, states = numbers(layer, torch.float32)
    expected = at_once(layer.eval(), x, states)
    layer.train()
    with torch.no_grad():
        steps = IncrementalRNN(layer)
        assert not steps.steppers
        for t in range(S):
            states = steps(x[t], states)
            torch.testing.assert_close(states[-1][0], expected[t], atol=1e-6, rtol=0)


def test_a_decoding_step_has_a_gradient_where_gradients_are_asked_for() -> None:
    layer = layers("lstm")
    x, states = numbers(layer, torch.float32)
    with torch.no_grad():
        steps = IncrementalRNN(layer)
    steps(x[0], states)[-1][0].sum().backward()
    assert layer.weight_ih_l0.grad is not None
