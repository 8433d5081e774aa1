"""recurra.nn.RNN, LSTM and GRU beside torch.nn's: same parameters, same answers, same refusals."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import recurra.nn
from recurra.base.errors import RecurraError

KINDS = {
    "tanh": ("RNN", {"nonlinearity": "tanh"}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm-projected": ("LSTM", {"proj_size": 2}),
    "gru": ("GRU", {}),
}
I, H, T, N = 3, 4, 5, 3
# torch says this once a process for an LSTM with projections.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}

# auto may take torch's own kernels; the reference never does, so that is what is compared with them.
both_backends = pytest.mark.parametrize("backend", ["auto", "reference"])
every_kind = pytest.mark.parametrize("kind", KINDS)
every_form = pytest.mark.parametrize(
    ("num_layers", "bidirectional", "bias", "batch_first"),
    list(itertools.product([1, 2], [False, True], [True, False], [False, True])),
    ids=lambda v: str(int(v)),
)


def pair(kind, seed=0, backend="auto", **options):
    """torch's layer and ours, with the same seed."""
    name, own = KINDS[kind]
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, name)(I, H, **own, **options)
    torch.manual_seed(seed)
    return theirs, getattr(recurra.nn, name)(I, H, backend=backend, **own, **options)


def tensors(answer):
    """All tensors of what a layer returns, in order."""
    if isinstance(answer, PackedSequence):
        return [answer.data, answer.batch_sizes, answer.sorted_indices, answer.unsorted_indices]
    return [answer] if isinstance(answer, torch.Tensor) else [t for part in answer for t in tensors(part)]


def assert_same(ours, theirs, tolerance):
    for a, b in zip(tensors(ours), tensors(theirs), strict=True):
        if b is None:
            assert a is None
        else:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            # assert_close says where two differ, and takes ten times as long to see that they do not.
            if not torch.allclose(a, b, rtol=tolerance, atol=tolerance):
                torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
                pytest.fail("not close")


def states_for(kind, layer, *batch):
    """Random initial states; `batch` is N, or nothing for one sequence."""
    L = layer.num_layers * (2 if layer.bidirectional else 1)
    dtype = layer.weight_ih_l0.dtype
    h = torch.randn(L, *batch, layer.proj_size or H, dtype=dtype)
    return (h, torch.randn(L, *batch, H, dtype=dtype)) if kind.startswith("lstm") else h


@every_kind
@every_form
def test_the_same_seed_gives_the_same_parameters_under_the_same_names(
    kind, num_layers, bidirectional, bias, batch_first
):
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    theirs, ours = pair(kind, seed=5, **options)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert [[w.shape for w in ws] for ws in ours.all_weights] == [[w.shape for w in ws] for ws in theirs.all_weights]


@every_kind
@every_form
@both_backends
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_outputs_and_states_agree_in_every_form_of_input(
    kind, num_layers, bidirectional, bias, batch_first, dtype, backend
):
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    theirs, ours = pair(kind, dtype=dtype, backend=backend, **options)
    tolerance = TOLERANCE[dtype]
    x = torch.randn(*((N, T) if batch_first else (T, N)), I, dtype=dtype)
    hx, one = states_for(kind, ours, N), states_for(kind, ours)
    with torch.no_grad():
        assert_same(ours(x), theirs(x), tolerance)
        assert_same(ours(x, hx), theirs(x, hx), tolerance)
        assert_same(ours(x[0]), theirs(x[0]), tolerance)
        assert_same(ours(x[0], one), theirs(x[0], one), tolerance)
        for lengths, is_sorted in (((5, 3, 1), True), ((2, 5, 3), False), ((5, 4, 4), False)):
            packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=is_sorted)
            assert_same(ours(packed), theirs(packed), tolerance)
            assert_same(ours(packed, hx), theirs(packed, hx), tolerance)


@every_kind
@both_backends
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_agree_packed_too(kind, bidirectional, backend):
    options = {"num_layers": 2, "bidirectional": bidirectional, "dtype": torch.float64}
    theirs, ours = pair(kind, backend=backend, **options)
    x, hx = torch.randn(T, N, I, dtype=torch.float64), states_for(kind, ours, N)
    look = torch.randn(100, dtype=torch.float64)
    for packed in (False, True):
        found = []
        for layer in (theirs, ours):
            leaf, start = x.clone().requires_grad_(), [s.clone().requires_grad_() for s in tensors(hx)]
            entry = pack_padded_sequence(leaf, torch.tensor([2, 5, 3]), enforce_sorted=False) if packed else leaf
            answer = [t for t in tensors(layer(entry, tuple(start) if len(start) > 1 else start[0])) if t is not None]
            floating = [t for t in answer if t.is_floating_point()]
            scalar = sum((t.flatten() * look[: t.numel()].sum() * (k + 1)).sin().sum() for k, t in enumerate(floating))
            found.append(torch.autograd.grad(scalar, [leaf, *start, *layer.parameters()]))
        assert_same(found[1], found[0], 1e-11)


@every_kind
@both_backends
def test_lengths_do_what_a_packed_sequence_does(kind, backend):
    _, ours = pair(kind, backend=backend, num_layers=2, bidirectional=True)
    x, lengths = torch.randn(T, N, I), torch.tensor([2, 5, 3])
    packed, states = ours(pack_padded_sequence(x, lengths, enforce_sorted=False))
    output, ends = ours(x, lengths=lengths)
    unpacked, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, total_length=T)
    assert_same((output, ends), (unpacked, states), 0)


@every_kind
@every_form
def test_state_dicts_load_strictly_both_ways(kind, num_layers, bidirectional, bias, batch_first):
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    theirs, _ = pair(kind, seed=1, **options)
    _, ours = pair(kind, seed=2, **options)
    assert not torch.equal(theirs.weight_hh_l0, ours.weight_hh_l0)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert torch.equal(theirs.weight_hh_l0, ours.weight_hh_l0)
    again, _ = pair(kind, seed=3, **options)
    again.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 2, I)
    assert_same(ours(x), again(x), 1e-6)


def test_positional_arguments_mean_the_same():
    theirs, ours = (
        torch.nn.LSTM(3, 4, 2, False, True, 0.25, True, 2),
        recurra.nn.LSTM(3, 4, 2, False, True, 0.25, True, 2),
    )
    for word in (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ):
        assert getattr(ours, word) == getattr(theirs, word)
    theirs, ours = torch.nn.RNN(3, 4, 2, "relu", False), recurra.nn.RNN(3, 4, 2, "relu", False)
    assert (ours.nonlinearity, ours.bias) == (theirs.nonlinearity, theirs.bias)


def test_dropout_between_layers_of_one_takes_everything_as_in_torch():
    theirs, ours = pair("gru", num_layers=2, dropout=1.0)
    x = torch.randn(T, N, I)
    assert_same(ours(x), theirs(x), 1e-6)


# -- Refusals ----------------------------------------------------------------------------------------------------------

X = torch.zeros(T, N, I)


def zeros(*shape):
    """Zero states for an LSTM and for the others: a function of the class's name."""
    return lambda name: (torch.zeros(shape),) * 2 if name == "LSTM" else torch.zeros(shape)


CALLS = {
    "wrong input_size": (torch.zeros(T, N, 7), None),
    "wrong input_size, one sequence": (torch.zeros(T, 7), None),
    "wrong input_size, packed": (pack_sequence([torch.zeros(T, 7)]), None),
    "four dimensions": (torch.zeros(T, N, I, 1), None),
    "one dimension": (torch.zeros(I), None),
    "float64 input": (X.double(), None),
    "whole numbers": (X.long(), None),
    "another device": (X.to("meta"), None),
    "hx for another N": (X, zeros(1, 4, H)),
    "hx for another depth": (X, zeros(2, N, H)),
    "hx of another width": (X, zeros(1, N, 5)),
    "hx without N": (X, zeros(1, H)),
    "hx with N for one sequence": (X[:, 0], zeros(1, 1, H)),
    "hx of another width for one sequence": (X[:, 0], zeros(1, 5)),
    "packed, hx for another N": (pack_sequence([X[:, 0]]), zeros(1, 2, H)),
}
every_class = pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])


def provoked(act, *arguments, **options):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        act(*arguments, **options)
    return caught.value


@every_class
@pytest.mark.parametrize("what", CALLS)
def test_a_wrong_call_raises_the_same_type_with_the_same_text(name, what):
    x, hx = CALLS[what]
    hx = hx and hx(name)
    ours = provoked(getattr(recurra.nn, name)(I, H), x, hx)
    assert isinstance(ours, RecurraError)
    if name == "LSTM" and "packed" in what:
        return  # torch.nn.LSTM checks nothing of a packed sequence, and computes with what it finds
    theirs = provoked(getattr(torch.nn, name)(I, H), x, hx)
    assert isinstance(ours, type(theirs))
    text = str(theirs).replace("4D tensor", "4D").replace("1D tensor", "1D")  # torch's RNN alone says "tensor"
    assert text in str(ours)


def test_a_mixed_pair_of_states_is_refused_in_torchs_words():
    mixed = (torch.zeros(N, H), torch.zeros(1, N, H))
    theirs, ours = (provoked(m.LSTM(I, H), X, mixed) for m in (torch.nn, recurra.nn))
    assert str(ours) == f"LSTM: {theirs}"
    narrow = (torch.zeros(1, N, H), torch.zeros(1, N, 3))
    theirs, ours = (provoked(m.LSTM(I, H), X, narrow) for m in (torch.nn, recurra.nn))
    assert str(theirs) in str(ours)
    assert "hidden[1]" in str(ours)


def test_states_of_another_type_or_number_are_named():
    ours = provoked(recurra.nn.GRU(I, H), X, torch.zeros(1, N, H).double())
    assert str(ours) == (
        "GRU: initial h is torch.float64 and the input is torch.float32; they must have the same dtype."
    )
    ours = provoked(recurra.nn.LSTM(I, H), X, (torch.zeros(1, N, H), torch.zeros(1, N, H, device="meta")))
    assert str(ours) == "LSTM: initial c is on meta and the input is on cpu; move one of them."
    ours = provoked(recurra.nn.LSTM(I, H), X, torch.zeros(1, N, H))
    assert str(ours) == "LSTM: hx has 1 states, expected 2: h, c."


OPTIONS = [
    {"hidden_size": 0}, {"hidden_size": -2}, {"hidden_size": 4.0}, {"input_size": 0}, {"input_size": "3"},
    {"num_layers": 0}, {"num_layers": -1}, {"dropout": 1.5}, {"dropout": -0.1}, {"dropout": True}, {"dropout": "a"},
    {"bias": 1}, {"bias": None}, {"batch_first": "yes"}, {"no_such_option": 1},
]  # fmt: skip


@every_class
@pytest.mark.parametrize("wrong", OPTIONS, ids=str)
def test_a_wrong_option_raises_the_same_type_with_the_same_text(name, wrong):
    options = {"input_size": I, "hidden_size": H} | wrong
    theirs, ours = (provoked(getattr(module, name), **options) for module in (torch.nn, recurra.nn))
    assert isinstance(ours, type(theirs))
    assert str(theirs).removeprefix("RNNBase") in str(ours).removeprefix("Recurrent")


@pytest.mark.parametrize("proj_size", [-1, 4, 5])
def test_a_wrong_projection_raises_the_same_type_with_the_same_text(proj_size):
    theirs, ours = (provoked(m.LSTM, I, H, proj_size=proj_size) for m in (torch.nn, recurra.nn))
    assert isinstance(ours, type(theirs))
    assert str(theirs) in str(ours)


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_a_projection_without_an_lstm_is_refused_as_in_torch(name):
    theirs, ours = (provoked(getattr(m, name), I, H, proj_size=2) for m in (torch.nn, recurra.nn))
    assert isinstance(ours, type(theirs))
    assert str(theirs) in str(ours)


def test_an_unknown_nonlinearity_is_answered_with_those_there_are():
    theirs, ours = (provoked(m.RNN, I, H, nonlinearity="sine") for m in (torch.nn, recurra.nn))
    assert isinstance(ours, type(theirs))
    assert str(theirs) == "Unknown nonlinearity 'sine'. Select from 'tanh' or 'relu'."
    assert str(ours) == "Unknown nonlinearity 'sine'. Select from 'tanh', 'relu' or 'sigmoid'."


def test_dropout_that_torch_warns_of_is_refused():
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        torch.nn.GRU(I, H, dropout=0.5)
    said = str(provoked(recurra.nn.GRU, I, H, dropout=0.5))
    assert said.startswith("dropout=0.5 acts between layers and num_layers is 1")


def test_no_steps_give_the_state_back_where_torch_refuses():
    assert "sequence length to be larger than 0" in str(provoked(torch.nn.GRU(I, H), X[:0]))
    hx = torch.randn(1, N, H)
    output, state = recurra.nn.GRU(I, H)(X[:0], hx)
    assert output.shape == (0, N, H)
    assert torch.equal(state, hx)
    assert recurra.nn.GRU(I, H)(X[:, :0])[0].shape == (T, 0, H)
