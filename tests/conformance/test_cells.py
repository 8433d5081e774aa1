"""The battery: every cell, every executor, against the papers' equations and against the laws of the design."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conformance.battery import (
    ALL_ORACLES,
    CELLS_UNDER_TEST,
    REFERENCE,
    assert_close,
    gradients_of,
    leaves_of,
    oracle_gradients,
    oracle_run,
    pairs,
    probe,
    problem,
    same_bits,
)
from oracles.catalogue import ORACLES
from recurra.cells import CELLS
from recurra.engine import Call, run, tape
from recurra.nn import Recurrent, Stateful

every_cell = pytest.mark.parametrize("name", CELLS_UNDER_TEST)
every_cell_and_executor = pytest.mark.parametrize(("name", "executor"), pairs())
every_exact_one = pytest.mark.parametrize(("name", "executor"), pairs(torch.float64))
# Of T = 4 and N = 3: all whole; one empty, one whole, one between.
RAGGED = (2, 0, 4)
with_lengths = pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def test_every_cell_has_an_oracle_and_every_oracle_a_cell():
    without = set(CELLS) - set(ORACLES)
    assert not without, f"write tests/oracles/<cell>.py from the paper, and name it in catalogue.py, for: {without}"
    assert not set(ORACLES) - set(CELLS), f"oracles without a cell: {set(ORACLES) - set(CELLS)}"


@every_cell
def test_an_oracle_has_the_states_of_its_cell_and_their_widths(name):
    cell, oracle = CELLS_UNDER_TEST[name], ALL_ORACLES[name]
    assert oracle.states == cell.states
    assert (oracle.widths or ("H",) * len(oracle.states)) == tuple(cell.size(s) for s in cell.states)


# -- Values ------------------------------------------------------------------------------------------------------------


@every_cell_and_executor
@with_lengths
@both_ways
def test_outputs_and_states_are_those_of_the_paper_written_out_in_numpy(name, executor, lengths, reverse):
    given = problem(name)
    output, states = oracle_run(name, given, lengths, reverse)
    result = executor.run(given.call(executor.dtype, lengths, reverse))
    assert result.output.dtype == executor.dtype
    assert_close(result.output, output, executor.tolerance, "output")
    for state, got, expected in zip(given.cell.states, result.states, states, strict=True):
        assert_close(got, expected, executor.tolerance, state)


@every_cell_and_executor
@pytest.mark.parametrize(
    ("T", "N", "I", "H", "P"),
    [(0, 2, 3, 4, 2), (1, 3, 2, 4, 3), (6, 1, 3, 5, 3), (3, 4, 1, 3, 1), (2, 2, 5, 1, 1), (3, 0, 2, 4, 2)],
    ids=["T=0", "T=1", "N=1,H=5", "I=1,H=3", "H=1", "N=0"],
)
def test_odd_and_empty_sizes_give_what_the_oracle_gives(name, executor, T, N, I, H, P):
    given = problem(name, T, N, I, H, P)
    for lengths in (None, (T,) * N, (0,) * N, tuple(min(n, T) for n in range(N))):
        output, states = oracle_run(name, given, lengths)
        result = executor.run(given.call(executor.dtype, lengths))
        assert result.output.shape == output.shape
        assert_close(result.output, output, executor.tolerance)
        for got, expected in zip(result.states, states, strict=True):
            assert_close(got, expected, executor.tolerance)


@every_cell_and_executor
def test_without_bias_the_biases_count_as_zero(name, executor):
    given = problem(name, bias=False)
    assert not any(word.startswith("bias") for word in given.packed)
    output, _ = oracle_run(name, given)
    assert_close(executor.run(given.call(executor.dtype)).output, output, executor.tolerance)


@every_cell
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_half_precision_runs_and_stays_in_its_type(name, dtype, backend):
    given = problem(name)
    output, _ = oracle_run(name, given, RAGGED)
    result = run(given.call(dtype, RAGGED), backend=backend)
    assert result.output.dtype == dtype
    assert {s.dtype for s in result.states} == {dtype}
    # bfloat16 has 8 bits: 2 ** -8 a rounding, a few dozen roundings in a row; float16 is eight times finer.
    assert_close(result.output, output, 0.1 if dtype == torch.bfloat16 else 0.02)


# -- Gradients ---------------------------------------------------------------------------------------------------------


@every_cell_and_executor
@pytest.mark.parametrize(("lengths", "reverse"), [(None, False), (RAGGED, True)], ids=["whole", "ragged-reverse"])
def test_gradients_are_the_complex_step_derivatives_of_the_oracle(name, executor, lengths, reverse):
    given = problem(name, H=3)
    call = given.call(executor.dtype, lengths, reverse, leaves=True)
    got = gradients_of(probe(given).of(executor.run(call)), call)
    for what, value in oracle_gradients(name, given, lengths, reverse).items():
        assert_close(got[what], value, executor.tolerance, what)


@every_exact_one
@with_lengths
@both_ways
def test_gradients_agree_with_finite_differences(name, executor, lengths, reverse):
    lengths = lengths and lengths[::2]
    given = problem(name, T=3 if lengths is None else 4, N=2, I=2, H=2, P=1)
    call = given.call(torch.float64, lengths, reverse, leaves=True)
    leaves = leaves_of(call)

    def outputs(*values):
        result = executor.run(_with(call, dict(zip(leaves, values, strict=True))))
        return (result.output, *result.states)

    assert torch.autograd.gradcheck(outputs, tuple(leaves.values()), fast_mode=reverse or lengths is not None)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "slstm"])
def test_second_derivatives_agree_with_finite_differences(name):
    given = problem(name, T=2, N=2, I=2, H=2)
    call = given.call(torch.float64, (2, 1), leaves=True)
    leaves = leaves_of(call)

    def outputs(*values):
        return REFERENCE.run(_with(call, dict(zip(leaves, values, strict=True)))).output

    assert torch.autograd.gradgradcheck(outputs, tuple(leaves.values()), fast_mode=True)


@every_cell
@with_lengths
@both_ways
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_the_derived_gradient_graph_gives_the_gradients_of_autograd(name, lengths, reverse, bias):
    given = problem(name, bias=bias)
    look, call = probe(given), given.call(torch.float64, lengths, reverse, leaves=True)
    expected = gradients_of(look.of(REFERENCE.run(call)), call)
    result, kept = tape.forward(given.call(torch.float64, lengths, reverse))
    found = tape.backward(kept, torch.tensor(look.output), tuple(map(torch.tensor, look.states)))
    states = {f"state:{s}": d for s, d in zip(given.cell.states, found.states, strict=True)}
    assert_close(result.output, REFERENCE.run(call).output, 1e-12)
    for what, got in ({"x": found.x} | states | found.weights).items():
        assert_close(got, expected[what], 1e-12, what)


@every_cell
def test_the_gradient_graph_passes_a_gradient_through_no_steps_at_all(name):
    given = problem(name, T=0)
    look = probe(given)
    _, kept = tape.forward(given.call())
    found = tape.backward(kept, torch.tensor(look.output), tuple(map(torch.tensor, look.states)))
    for got, expected in zip(found.states, look.states, strict=True):
        assert_close(got, expected, 0.0)
    for word, got in found.weights.items():
        assert_close(got, np.zeros(given.packed[word].shape), 0.0, word)


# -- A sequence never notices its neighbours ---------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
def test_alone_or_padded_in_a_batch_gives_the_same_outputs_states_and_gradients(name, num_layers, bidirectional):
    layer, T, lengths = _layer(name, num_layers=num_layers, bidirectional=bidirectional), 5, (2, 5, 0, 3)
    x = torch.randn(T, len(lengths), layer.input_size, dtype=torch.float64)
    hx = tuple(torch.rand(num_layers * (1 + bidirectional), len(lengths), s).double() for s in layer.state_sizes())
    look = torch.randn(T, len(lengths), layer.output_size, dtype=torch.float64)

    padded = _clone(x)
    output, states = layer(padded, _one_or_all(hx), lengths=lengths)
    together = _gradients(_scalar(output, look, states), layer, padded)
    one_by_one = [torch.zeros_like(g) for g in together[1:]]
    for n, length in enumerate(lengths):
        alone = _clone(x[:length, n : n + 1])
        out, ends = layer(alone, _one_or_all(tuple(h[:, n : n + 1] for h in hx)))
        assert_close(output[:length, n : n + 1], out, 1e-12, "output")
        assert not output[length:, n].any()
        for whole, end in zip(_all(states), _all(ends), strict=True):
            assert_close(whole[:, n : n + 1], end, 1e-12, "state")
        dx, *weights = _gradients(_scalar(out, look[:length, n : n + 1], ends), layer, alone)
        assert_close(together[0][:length, n : n + 1], dx, 1e-12, "x")
        assert not together[0][length:, n].any()
        one_by_one = [a + b for a, b in zip(one_by_one, weights, strict=True)]
    for (word, _), got, expected in zip(layer.named_parameters(), together[1:], one_by_one, strict=True):
        assert_close(got, expected, 1e-12, word)


@every_cell_and_executor
@both_ways
def test_what_stands_in_the_padding_changes_no_bit(name, executor, reverse):
    given, look = problem(name), probe(problem(name))
    clean = given.call(executor.dtype, RAGGED, reverse, leaves=True)
    a = executor.run(clean)
    expected = gradients_of(look.of(a), clean)
    for poison in (float("nan"), float("inf"), 1e30):
        x = clean.x.detach().clone()
        for n, length in enumerate(RAGGED):
            x[length:, n] = poison
        dirty = replace(clean, x=x.requires_grad_())
        b = executor.run(dirty)
        assert same_bits(a.output, b.output), poison
        assert all(same_bits(s, t) for s, t in zip(a.states, b.states, strict=True)), poison
        got = gradients_of(look.of(b), dirty)
        for what, value in expected.items():
            assert same_bits(torch.tensor(got[what]), torch.tensor(value)), (what, poison)


@every_cell
@both_ways
def test_what_stands_in_the_padding_changes_no_bit_of_the_gradient_graph(name, reverse):
    given, look = problem(name), probe(problem(name))
    calls = []
    for poison in (0.5, float("nan")):
        call = given.call(torch.float64, RAGGED, reverse)
        for n, length in enumerate(RAGGED):
            call.x[length:, n] = poison
        calls.append(call)
    clean, dirty = (
        tape.backward(tape.forward(call)[1], torch.tensor(look.output), tuple(map(torch.tensor, look.states)))
        for call in calls
    )
    assert same_bits(clean.x, dirty.x)
    assert all(same_bits(a, b) for a, b in zip(clean.states, dirty.states, strict=True))
    assert all(same_bits(clean.weights[word], dirty.weights[word]) for word in clean.weights)


@every_cell_and_executor
@with_lengths
def test_a_nan_in_one_sequence_stays_in_that_sequence(name, executor, lengths):
    given = problem(name)
    clean = given.call(executor.dtype, lengths)
    x = clean.x.clone()
    x[1, 2] = float("nan")
    a, b = executor.run(clean), executor.run(replace(clean, x=x))
    assert b.output[1, 2].isnan().any()
    assert b.output[0, 2].isfinite().all()
    assert same_bits(a.output[:, :2], b.output[:, :2])
    assert all(same_bits(s[:2], t[:2]) for s, t in zip(a.states, b.states, strict=True))


# -- Time --------------------------------------------------------------------------------------------------------------


@every_cell_and_executor
@with_lengths
def test_two_pieces_with_the_states_handed_on_equal_one(name, executor, lengths):
    given = problem(name)
    whole = given.call(executor.dtype, lengths)
    expected = executor.run(whole)
    cut = 3
    n = whole.lengths
    first = executor.run(replace(whole, x=whole.x[:cut], lengths=None if n is None else n.clamp(max=cut)))
    rest = None if n is None else (n - cut).clamp(min=0)
    second = executor.run(replace(whole, x=whole.x[cut:], states=first.states, lengths=rest))
    assert_close(torch.cat([first.output, second.output]), expected.output, executor.tolerance)
    for got, state in zip(second.states, expected.states, strict=True):
        assert_close(got, state, executor.tolerance)


@every_cell
def test_a_carried_layer_fed_in_pieces_gives_what_the_whole_gives(name):
    layer = _layer(name, num_layers=2)
    x = torch.randn(6, 3, layer.input_size, dtype=torch.float64)
    expected, states = layer(x)
    carried = Stateful(layer)
    pieces = [carried(piece) for piece in x.split([1, 3, 2])]
    assert_close(torch.cat(pieces), expected, 1e-12)
    for got, state in zip(_all(carried.state), _all(states), strict=True):
        assert_close(got, state, 1e-12)


@every_cell_and_executor
def test_reverse_is_forward_on_the_flipped_sequence(name, executor):
    given = problem(name)
    call = given.call(executor.dtype, RAGGED, reverse=True)
    backward = executor.run(call)
    x = call.x.clone()
    for n, length in enumerate(RAGGED):
        x[:length, n] = call.x[:length, n].flip(0)
    forward = executor.run(replace(call, x=x, reverse=False))
    for n, length in enumerate(RAGGED):
        assert_close(backward.output[:length, n].flip(0), forward.output[:length, n], executor.tolerance)
    for a, b in zip(backward.states, forward.states, strict=True):
        assert_close(a, b, executor.tolerance)


@every_cell_and_executor
def test_the_order_of_the_rows_does_not_matter(name, executor):
    given, order = problem(name), torch.tensor([2, 0, 1])
    call = given.call(executor.dtype, RAGGED)
    turned = replace(
        call, x=call.x[:, order], states=tuple(s[order] for s in call.states), lengths=torch.tensor(RAGGED)[order]
    )
    assert_close(executor.run(turned).output, executor.run(call).output[:, order], executor.tolerance)


# -- Helpers -----------------------------------------------------------------------------------------------------------


def _with(call: Call, leaves: dict[str, torch.Tensor]) -> Call:
    """The same call with other tensors, by the names of `leaves_of`."""
    packed = {word: leaves[word] for word in call.weights.packed}
    states = tuple(leaves[f"state:{s}"] for s in call.cell.states)
    return replace(call, x=leaves["x"], states=states, weights=replace(call.weights, packed=packed))


def _layer(name: str, **options) -> Recurrent:
    torch.manual_seed(3)
    cell = CELLS_UNDER_TEST[name]
    proj_size = 2 if cell.size(cell.states[0]) == "P" else 0
    return Recurrent(3, 4, cell=cell, proj_size=proj_size, dtype=torch.float64, **options)


def _clone(x: torch.Tensor) -> torch.Tensor:
    return x.clone().requires_grad_()


def _all(states) -> tuple[torch.Tensor, ...]:
    return states if isinstance(states, tuple) else (states,)


def _one_or_all(states: tuple[torch.Tensor, ...]):
    return states if len(states) > 1 else states[0]


def _scalar(output: torch.Tensor, look: torch.Tensor, states) -> torch.Tensor:
    return (output * look).sum() + sum((k * s.sin()).sum() for k, s in enumerate(_all(states), start=1))


def _gradients(scalar: torch.Tensor, layer: Recurrent, x: torch.Tensor) -> list[torch.Tensor]:
    wanted = [x, *layer.parameters()]
    if not scalar.requires_grad:  # no step at all
        return [torch.zeros_like(w) for w in wanted]
    return list(torch.autograd.grad(scalar, wanted, allow_unused=True, materialize_grads=True))
