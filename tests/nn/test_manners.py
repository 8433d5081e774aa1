"""What code written for torch's modules may expect of a recurrent layer."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrize

from recurra.base.errors import ShapeError
from recurra.cells import CELLS, cell
from recurra.cells.language import tanh
from recurra.nn import GRU, LSTM, RNN, Recurrent

X = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0))


def layer(name="lstm", **options):
    torch.manual_seed(1)
    return Recurrent(3, 4, cell=name, proj_size=2 if name == "lstm_projected" else 0, **options)


def same(a, b):
    return torch.equal(a[0], b[0]) and all(torch.equal(s, t) for s, t in zip(_all(a[1]), _all(b[1]), strict=True))


def _all(states):
    return states if isinstance(states, tuple) else (states,)


@pytest.mark.parametrize("name", CELLS)
def test_a_layer_is_copied_pickled_and_saved_with_its_cell(name):
    made = layer(name, num_layers=2, bidirectional=True)
    stored = io.BytesIO()
    torch.save(made.state_dict(), stored)
    stored.seek(0)
    loaded = layer(name, num_layers=2, bidirectional=True, init="orthogonal")
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), loaded):
        assert other.cell is made.cell
        assert other.weight_ih_l0 is not made.weight_ih_l0
        assert same(other(X), made(X))


@cell()
def own(x, h, p):
    return tanh(p.W("h", x) + p.R("h", h))


def test_a_layer_with_a_users_cell_is_copied_and_one_that_cannot_be_found_is_not_pickled():
    made = Recurrent(3, 4, cell=own)
    assert same(copy.deepcopy(made)(X), made(X))

    @cell()
    def local(x, h, p):
        return tanh(p.W("h", x))

    with pytest.raises(pickle.PicklingError, match="define it at the top of an importable module"):
        pickle.dumps(Recurrent(3, 4, cell=local))


def test_a_layer_moves_between_types_and_devices():
    made = layer("gru")
    assert made.double()(X.double())[0].dtype == torch.float64
    assert made.to(torch.bfloat16)(X.bfloat16())[0].dtype == torch.bfloat16
    assert {p.device.type for p in made.to("meta").parameters()} == {"meta"}
    assert {p.dtype for p in layer(dtype=torch.float64).parameters()} == {torch.float64}
    assert {p.device.type for p in layer(device="meta").parameters()} == {"meta"}


@pytest.mark.parametrize("name", ["lstm", "lstm_layernorm", "indrnn"])
def test_reset_parameters_draws_anew_as_the_constructor_does(name):
    made = layer(name)
    before = copy.deepcopy(made.state_dict())
    made.reset_parameters()
    assert not torch.equal(made.weight_ih_l0, before["weight_ih_l0"])
    torch.manual_seed(1)
    made.reset_parameters()
    assert all(torch.equal(made.state_dict()[word], value) for word, value in before.items())


def test_functional_call_uses_the_given_parameters():
    made, other = layer(), layer(init="orthogonal")
    assert same(torch.func.functional_call(made, dict(other.named_parameters()), (X,)), other(X))
    assert not same(made(X), other(X))


def test_gradients_for_each_example_come_from_vmap():
    made = layer("gru", dtype=torch.float64)
    parameters = {word: p.detach() for word, p in made.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(made, parameters, (x,))[0].square().sum()

    x = X.double().transpose(0, 1)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    for n in range(3):
        alone = torch.func.grad(loss)(parameters, x[n])
        for word, g in alone.items():
            torch.testing.assert_close(each[word][n], g, rtol=1e-12, atol=1e-12)


class Halved(torch.nn.Module):
    def forward(self, weight):
        return weight / 2


def test_a_parametrization_takes_effect_and_goes_again():
    made = layer("gru")
    halved = copy.deepcopy(made)
    with torch.no_grad():
        halved.weight_hh_l0 /= 2
    whole = made(X)
    parametrize.register_parametrization(made, "weight_hh_l0", Halved())
    assert same(made(X), halved(X))
    parametrize.remove_parametrizations(made, "weight_hh_l0", leave_parametrized=False)
    assert same(made(X), whole)


def test_weights_can_be_tied_and_replaced():
    made = layer(num_layers=2)
    made.weight_hh_l1 = made.weight_hh_l0
    made(X)[0].sum().backward()
    assert len(list(made.parameters())) == 7
    assert made.weight_hh_l0.grad is made.weight_hh_l1.grad


@pytest.mark.parametrize("name", CELLS)
def test_gradients_come_for_the_weights_that_ask_for_them_and_are_the_same(name):
    made = layer(name, num_layers=2)
    made(X)[0].square().sum().backward()
    whole = {word: p.grad.clone() for word, p in made.named_parameters()}
    made.zero_grad()
    frozen = [p for word, p in made.named_parameters() if word.startswith("weight_ih")]
    for p in frozen:
        p.requires_grad_(False)
    made(X)[0].square().sum().backward()
    for word, p in made.named_parameters():
        if word.startswith("weight_ih"):
            assert p.grad is None
        else:
            torch.testing.assert_close(p.grad, whole[word], rtol=1e-5, atol=1e-6)


def test_nothing_is_recorded_without_gradients():
    made = layer()
    with torch.no_grad():
        assert not made(X)[0].requires_grad
    for p in made.parameters():
        p.requires_grad_(False)
    assert not made(X)[0].requires_grad


FORMS = {
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every second step of a longer one": lambda x: torch.stack([x, -x], 1).flatten(0, 1)[::2],
    "a slice of wider features": lambda x: torch.cat([x, x, x], -1)[..., 3:6],
    "an offset into storage": lambda x: torch.cat([x[:1], x])[1:],
    "flipped twice": lambda x: x.flip(0).flip(0),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "indrnn"])
def test_an_input_of_any_strides_gives_the_same_answer_and_gradient(form, name):
    made = layer(name, bidirectional=True)
    found = []
    for change in (lambda x: x, FORMS[form]):
        x = X.clone().requires_grad_()
        output, _ = made(change(x), lengths=[5, 2, 0])
        output.sin().sum().backward()
        found.append((output, x.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)


def test_expanded_inputs_and_states_work():
    made = layer("gru")
    one, h = X[:, :1], torch.randn(1, 1, 4)
    expected = made(one.repeat(1, 3, 1), h.repeat(1, 3, 1))
    assert same(made(one.expand(5, 3, 3), h.expand(1, 3, 4)), expected)
    for n in range(1, 3):
        torch.testing.assert_close(expected[0][:, n], expected[0][:, 0])


@pytest.mark.parametrize("name", CELLS)
def test_autocast_runs_in_bfloat16_and_stays_near(name):
    made = layer(name, num_layers=2, bidirectional=True)
    expected, _ = made(X, lengths=[5, 3, 0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = made(X, lengths=[5, 3, 0])
        made(X.bfloat16(), lengths=[5, 3, 0])
    torch.testing.assert_close(output.float(), expected, rtol=0.1, atol=0.05)
    output.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in made.parameters())


def test_training_mode_changes_nothing_without_dropout():
    made = layer("gru", num_layers=2)
    trained = made(X)
    assert same(made.eval()(X), trained)


def test_a_second_call_does_not_remember_the_first():
    made = layer()
    first = made(X)
    made(X * 2)
    assert same(made(X), first)


def test_what_a_layer_is_can_be_read():
    assert repr(LSTM(3, 4)) == "LSTM(3, 4)"
    assert (
        repr(GRU(3, 4, 2, bidirectional=True, merge="sum")) == "GRU(3, 4, num_layers=2, bidirectional=True, merge=sum)"
    )
    assert repr(Recurrent(3, 4, cell="mgu", zoneout=0.1)) == "Recurrent(3, 4, cell=mgu, zoneout=(0.1,))"
    assert repr(RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4)"
    assert LSTM(3, 4).flatten_parameters() is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_tensor_is_computed_or_refused_by_a_sentence(data):
    made = GRU(3, 4)
    shape = data.draw(st.lists(st.integers(0, 4), min_size=0, max_size=4))
    if data.draw(st.booleans()):
        shape = [*shape, 3]
    dtype = data.draw(st.sampled_from([torch.float32] * 3 + [torch.float64, torch.float16, torch.int64, torch.bool]))
    x = torch.zeros(shape, dtype=dtype)
    if data.draw(st.booleans()) and x.dim() >= 2:
        x = x.transpose(0, 1)
    lengths = data.draw(st.one_of(st.none(), st.lists(st.integers(-1, 5), max_size=4)))
    try:
        output, state = made(x, lengths=lengths)
    except ShapeError:
        return
    assert output.shape == (*x.shape[:-1], 4)
    assert state.shape == (1, *x.shape[1:-1], 4)
