"""The contract of executors, on the reference: masks, zoneout, weights by gate, and no work on padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conformance.battery import ON_CPU, assert_close, pairs, problem, same_bits
from oracles.slstm import PLAIN_SLSTM
from recurra.base.errors import ConfigError
from recurra.cells import CELLS, cell
from recurra.cells.language import tanh
from recurra.engine import BACKENDS, Call, Weights, choose, masked, run, tape
from recurra.lower import layout
from recurra.nn import Recurrent

F64 = torch.float64
slstm_executors = pytest.mark.parametrize("executor", [p.values[1] for p in pairs() if p.values[0] == "slstm"], ids=str)


def ones_call(made, T=4, N=2, H=3, **options):
    """All inputs one, all states zero, identity matrices, biases zero."""
    packed = {}
    for p in layout(made):
        shape = p.shape({"I": H, "H": H, "P": H})
        block = torch.eye(H, dtype=F64) if len(shape) == 2 else torch.zeros(H, dtype=F64)
        packed[p.name] = torch.cat([block] * len(p.gates))
    states = tuple(torch.zeros(N, H, dtype=F64) for _ in made.states)
    return Call(torch.ones(T, N, H, dtype=F64), states, Weights(made, packed), **options)


@cell()
def counter(x, h, p):
    return p.W("h", x) + p.R("h", h)


def test_a_call_needs_no_more_than_input_states_and_weights():
    result = run(ones_call(counter))
    assert result.output[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert result.states[0].tolist() == [[4.0] * 3] * 2


def test_states_stand_still_and_outputs_are_zero_where_a_step_is_padding():
    result = run(ones_call(counter, lengths=torch.tensor([3, 1])))
    assert result.output[:, :, 0].T.tolist() == [[1, 2, 3, 0], [1, 0, 0, 0]]
    assert result.states[0][:, 0].tolist() == [3, 1]
    backward = run(ones_call(counter, lengths=torch.tensor([3, 1]), reverse=True))
    assert backward.output[:, :, 0].T.tolist() == [[3, 2, 1, 0], [1, 0, 0, 0]]
    assert backward.states[0][:, 0].tolist() == [3, 1]
    assert not run(ones_call(counter, lengths=torch.tensor([0, 0]))).output.any()


def test_no_step_is_computed_after_the_longest_sequence():
    steps = []

    @cell()
    def watched(x, h, p):
        steps.append(1)
        return tanh(p.W("h", x) + p.R("h", h))

    call = ones_call(watched, T=50, lengths=torch.tensor([3, 1]))
    steps.clear()
    assert run(call).output.shape == (50, 2, 3)
    assert len(steps) == 3


def test_the_recurrent_mask_multiplies_what_every_recurrent_product_takes():
    mask = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]], dtype=F64)
    output = run(ones_call(counter, recurrent_mask=mask)).output
    assert output[:, 0].T.tolist() == [[1, 1, 1, 1], [1, 2, 3, 4], [1, 3, 7, 15]]
    assert output[:, 1, 0].tolist() == [1, 2, 3, 4]


def test_zoneout_masks_hold_single_units_at_single_steps():
    held = torch.zeros(4, 2, 3, dtype=torch.bool)
    held[1, 0, 2] = held[0, 1] = True
    output = run(ones_call(counter, zoneout=(held,))).output
    assert output[:, 0].T.tolist() == [[1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 2, 3]]
    assert output[:, 1, 0].tolist() == [0, 1, 2, 3]


def test_zoneout_by_a_probability_is_the_expectation():
    # h <- 0.5 h + 0.5 (h + 1) = h + 0.5
    assert run(ones_call(counter, zoneout=(0.5,))).output[:, 0, 0].tolist() == [0.5, 1.0, 1.5, 2.0]


def test_zoneout_and_lengths_agree_on_the_last_state():
    held = torch.zeros(4, 2, 3, dtype=torch.bool)
    held[1] = True
    result = run(ones_call(counter, zoneout=(held,), lengths=torch.tensor([2, 4])))
    assert result.states[0][:, 0].tolist() == [1, 3]


def test_weights_are_seen_by_gate_and_added_biases_as_one():
    packed = {word: torch.tensor(a) for word, a in problem("lstm").packed.items()}
    kinds = Weights(CELLS["lstm"], packed).by_kind()
    assert set(kinds) == {"W", "R", "b", "b_R"}
    assert not kinds["b_R"]
    assert torch.equal(kinds["W"]["f"], packed["weight_ih"][4:8])
    assert torch.equal(kinds["b"]["g"], packed["bias_ih"][8:12] + packed["bias_hh"][8:12])


def test_the_second_bias_of_a_gru_stays_by_itself_in_its_candidate_only():
    packed = {word: torch.tensor(a) for word, a in problem("gru").packed.items()}
    kinds = Weights(CELLS["gru"], packed).by_kind()
    assert list(kinds["b_R"]) == ["n"]
    assert torch.equal(kinds["b_R"]["n"], packed["bias_hh"][8:])
    assert torch.equal(kinds["b"]["n"], packed["bias_ih"][8:])
    assert torch.equal(kinds["b"]["r"], packed["bias_ih"][:4] + packed["bias_hh"][:4])


def test_an_unknown_backend_is_answered_with_those_there_are():
    with pytest.raises(ConfigError, match=r"^unknown backend 'refrence'\. Did you mean 'reference'\?$"):
        run(ones_call(counter), backend="refrence")


def test_auto_takes_a_backend_that_there_is():
    assert choose(ones_call(counter)) in BACKENDS
    assert same_bits(run(ones_call(counter)).output, run(ones_call(counter), backend="reference").output)


def test_the_gradient_graph_refuses_what_it_would_leave_out():
    for options in ({"zoneout": (0.5,)}, {"recurrent_mask": torch.ones(2, 3, dtype=F64)}):
        with pytest.raises(ConfigError, match="the gradient graph knows no zoneout and no recurrent mask"):
            tape.forward(ones_call(counter, **options))


@slstm_executors
def test_the_stabilised_slstm_gives_the_outputs_of_its_definition(executor):
    given = problem("slstm")
    h, c, n, m = given.states
    # m only rescales: with m = 0 the states of both forms are the same (eq. 15-17 with m_0 = 0).
    start = replace(given, states=(h, c, n, np.zeros_like(m)))
    params = PLAIN_SLSTM.unpack(given.packed)
    output, (_, c_end, n_end) = PLAIN_SLSTM.run(given.x, (h, c, n), params)
    result = executor.run(start.call(executor.dtype))
    assert_close(result.output, output, executor.tolerance)
    scale = result.states[3].exp()
    assert_close(result.states[1] * scale, c_end, executor.tolerance)
    assert_close(result.states[2] * scale, n_end, executor.tolerance)


@slstm_executors
@pytest.mark.parametrize("size", [1, 40, -40])
def test_the_slstm_begins_as_its_definition_does_however_small_the_first_input_gate_is(executor, size):
    """From zeros for all states: exp(i) is 1e-90 and less where x is large, and c / n is still z at the first step."""
    given = problem("slstm")
    zeros = tuple(np.zeros_like(s) for s in given.states)
    call = replace(given, x=given.x * size, states=zeros).call(executor.dtype, leaves=True)
    params = PLAIN_SLSTM.unpack(given.packed)
    output, _ = PLAIN_SLSTM.run(given.x * size, zeros[:3], params)
    result = executor.run(call)
    assert_close(result.output, output, executor.tolerance * abs(size))
    assert result.output.abs().max() <= 1
    result.output.sum().backward()
    assert all(t.grad.isfinite().all() for t in call.tensors)


@slstm_executors
def test_an_slstm_without_memory_takes_its_first_input_whole(executor):
    """By hand: h = sigmoid(0) tanh(110) = 0.5, and n = 1 whatever exp(-110) is."""
    packed = {name: np.zeros_like(a) for name, a in problem("slstm", H=1, I=1).packed.items()}
    packed["weight_ih"][0], packed["weight_ih"][2] = -1, 1
    zeros = (np.zeros((1, 1)),) * 4
    given = replace(problem("slstm", 1, 1, 1, 1), x=np.full((1, 1, 1), 110.0), states=zeros, packed=packed)
    result = executor.run(given.call(executor.dtype))
    assert result.output.item() == 0.5
    assert [s.item() for s in result.states] == [0.5, 1.0, 1.0, -110.0]
    assert [s.item() for s in tape.forward(given.call(executor.dtype))[0].states] == [0.5, 1.0, 1.0, -110.0]


@slstm_executors
def test_the_slstm_stays_finite_where_its_definition_overflows(executor):
    given = problem("slstm")
    call = replace(given, x=given.x * 1000).call(executor.dtype, leaves=True)
    result = executor.run(call)
    assert result.output.isfinite().all()
    result.output.sum().backward()
    assert call.x.grad.isfinite().all()
    assert call.weights.packed["weight_ih"].grad.isfinite().all()


@pytest.mark.parametrize(("name", "executor"), [p for p in pairs() if p.values[0] not in ("rnn_relu", "indrnn")])
def test_saturated_gates_give_no_nan(name, executor):
    given = problem(name)
    call = replace(given, x=given.x * 1e4).call(executor.dtype, (2, 0, 4), leaves=True)
    result = executor.run(call)
    result.output.sum().backward()
    assert result.output.isfinite().all()
    assert all(s.isfinite().all() for s in result.states)
    assert call.x.grad.isfinite().all()


# -- No steps at all, and gradients that are infinite -----------------------------------------------------------------


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_layernorm", "slstm"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}], ids=str)
@pytest.mark.parametrize(
    ("T", "N", "lengths"),
    [(3, 2, [0, 0]), (0, 2, None), (0, 2, [0, 0]), (3, 0, None), (3, 0, []), (0, 0, None)],
    ids=["empty rows", "T=0", "T=0 with lengths", "N=0", "N=0 with lengths", "T=N=0"],
)
def test_gradients_of_no_steps_are_zero(backend, name, options, T, N, lengths):
    layer = Recurrent(3, 4, cell=name, backend=backend, **options)
    x = torch.randn(T, N, 3)
    try:
        output, states = layer(x, lengths=lengths)
    except ConfigError as error:
        pytest.skip(str(error))
    for top in (output, *(states if isinstance(states, tuple) else (states,))):
        assert not top.any()
        for gradient in torch.autograd.grad(top.sum(), list(layer.parameters()), retain_graph=True):
            assert not gradient.any()


@pytest.mark.parametrize("backend", ON_CPU)
def test_first_states_get_their_gradient_through_no_steps(backend):
    layer = Recurrent(3, 4, cell="lstm", backend=backend)
    h, c = (torch.randn(1, 2, 4, requires_grad=True) for _ in range(2))
    _, (h_end, c_end) = layer(torch.randn(3, 2, 3), (h, c), lengths=[0, 0])
    assert torch.equal(h_end, h)
    assert torch.equal(c_end, c)
    gradients = torch.autograd.grad((h_end * 2 + c_end * 3).sum(), [h, c])
    assert [g.unique().tolist() for g in gradients] == [[2.0], [3.0]]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_an_infinite_gradient_stops_where_the_mask_of_dropout_is_zero(backend):
    """What is dropped has the gradient 0, not 0 times infinity."""
    call = saturated_call()
    result = run(call, backend=backend)
    (gradient,) = torch.autograd.grad(result.output[-1, 0, 0] * 3e38, call.states[0])
    assert gradient[0, 0].isinf()
    assert gradient[0, 1:].tolist() == [0.0, 0.0, 0.0]


def saturated_call():
    """An rnn of one step whose first unit is taken 100 times, by a mask that drops the others."""
    made = CELLS["rnn"]
    sizes = {"I": 1, "H": 4, "P": 1}
    packed = {p.name: torch.zeros(p.shape(sizes)) for p in layout(made)}
    packed["weight_hh"][0] = 100.0
    states = (torch.zeros(1, 4, requires_grad=True),)
    mask = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    return Call(torch.zeros(1, 1, 1), states, Weights(made, packed), recurrent_mask=mask)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_state_that_is_dropped_reaches_nothing_even_if_it_is_infinite(backend):
    call = saturated_call()
    state = torch.tensor([[0.5, float("inf"), float("nan"), 0.0]])
    weight = call.weights.packed["weight_hh"].zero_().fill_(0.1).requires_grad_()
    output = run(replace(call, states=(state,)), backend=backend).output
    assert_close(output, np.full((1, 1, 4), np.tanh(0.05)), 1e-6)
    (gradient,) = torch.autograd.grad(output.sum(), weight)
    assert gradient[:, 0].isfinite().all()
    assert not gradient[:, 1:].any()


def test_a_mask_that_asks_for_a_gradient_gets_that_of_the_product():
    x, mask = torch.tensor([2.0, 3.0]), torch.tensor([0.0, 2.0], requires_grad=True)
    masked(x, mask).sum().backward()
    assert mask.grad.tolist() == [2.0, 3.0]
