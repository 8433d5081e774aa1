"""Options of recurrent layers: by value, by their law, or refused by a sentence."""

from __future__ import annotations

import math

import pytest
import torch

from conformance.battery import zoneout_of
from conformance.users_cell import leaky
from recurra.base.errors import ConfigError, ShapeError
from recurra.cells import CELLS, cell
from recurra.cells.language import tanh
from recurra.nn import GRU, LSTM, RNN, Recurrent, Stateful

T, N = 5, 3
F64 = torch.float64


def x_of(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


X = x_of(T, N, 3)


def build(word="lstm", **options):
    torch.manual_seed(4)
    return Recurrent(3, 4, cell=word, proj_size=2 if word == "lstm_projected" else 0, dtype=F64, **options)


def all_of(states):
    return states if isinstance(states, tuple) else (states,)


# -- Directions --------------------------------------------------------------------------------------------------------


def halves(layer, lengths):
    """Outputs of the two directions of a bidirectional layer, each from a layer of its own."""
    ways = []
    for suffix in ("", "_reverse"):
        one = Recurrent(3, 4, cell=layer.cell, dtype=F64)
        one.load_state_dict({w: getattr(layer, w + suffix) for w in one.state_dict()})
        ways.append(one)
    forward, _ = ways[0](X, lengths=lengths)
    turned = X.clone()
    for n, length in enumerate(lengths):
        turned[:length, n] = X[:length, n].flip(0)
    backward, _ = ways[1](turned, lengths=lengths)
    for n, length in enumerate(lengths):
        backward[:length, n] = backward[:length, n].flip(0)
    return forward, backward


@pytest.mark.parametrize(
    ("merge", "join"),
    [
        ("concat", lambda a, b: torch.cat([a, b], -1)),
        ("sum", lambda a, b: a + b),
        ("mean", lambda a, b: (a + b) / 2),
        ("product", lambda a, b: a * b),
    ],
)
def test_two_directions_are_merged_as_the_word_says(merge, join):
    layer, lengths = build("gru_simple", bidirectional=True, merge=merge), [5, 2, 0]
    output, state = layer(X, lengths=lengths)
    expected = join(*halves(layer, lengths))
    assert layer.output_size == output.shape[2] == expected.shape[2]
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-14)
    # The final state of each direction, merged: after the last real step, and after the first one backwards.
    last = layer.last(state)
    torch.testing.assert_close(last, join(state[0], state[1]), rtol=0, atol=0)


@pytest.mark.parametrize("merge", ["sum", "mean", "product"])
def test_a_second_layer_takes_the_merged_width(merge):
    layer = build("gru", bidirectional=True, merge=merge, num_layers=2)
    assert layer.weight_ih_l1.shape == (12, 4)
    assert layer(X)[0].shape == (T, N, 4)
    assert build("gru", bidirectional=True, num_layers=2).weight_ih_l1.shape == (12, 8)
    assert build("lstm_projected", bidirectional=True, num_layers=2).weight_ih_l1.shape == (16, 4)


# -- Dropout -----------------------------------------------------------------------------------------------------------


def linear_layer(**options):
    """A layer whose output is its input times the input mask, plus the masked previous output: h = x + h * mask."""

    @cell()
    def running_sum(x, h, p):
        return p.W("h", x) + p.R("h", h)

    layer = Recurrent(4, 4, cell=running_sum, dtype=F64, **options)
    for word, p in layer.named_parameters():
        torch.nn.init.eye_(p) if word.startswith("weight") else torch.nn.init.zeros_(p)
    return layer


def test_variational_dropout_uses_one_mask_a_sequence_at_all_steps():
    layer, p = linear_layer(variational_dropout=0.25), 0.25
    torch.manual_seed(0)
    x = torch.ones(6, 50, 4, dtype=F64)
    output, _ = layer(x)
    first = output[0]  # h_1 = mask_x, since h_0 = 0
    assert set(first.unique().tolist()) == {0.0, 1 / (1 - p)}
    # h_t = mask_x + mask_h h_{t-1}: either 1/(1-p) sums up by powers of 1/(1-p), or it stays at mask_x.
    keep = 1 / (1 - p)
    growing = first.new_tensor([sum(keep**k for k in range(1, t + 2)) for t in range(6)]).view(6, 1, 1) * (first > 0)
    staying = first.expand(6, 50, 4)
    is_growing = (output - growing).abs().amax(0) < 1e-9
    is_staying = (output - staying).abs().amax(0) < 1e-9
    assert (is_growing | is_staying).all()
    assert (is_growing & (first > 0)).any()
    assert (is_staying & (first > 0)).any()
    assert not torch.equal(first[0], first[1]) or not torch.equal(first[1], first[2])


def test_variational_dropout_drops_its_share_of_units():
    layer = linear_layer(variational_dropout=0.3)
    torch.manual_seed(1)
    dropped = (layer(torch.ones(1, 2500, 4, dtype=F64))[0] == 0).double().mean().item()
    # 10,000 draws: the standard deviation is sqrt(0.3 * 0.7 / 10000) = 0.0046; five of them.
    assert abs(dropped - 0.3) < 0.023


def test_dropout_between_layers_is_drawn_at_every_step_and_keeps_the_mean():
    layer = linear_layer(num_layers=2, dropout=0.5)
    with torch.no_grad():
        for word, p in layer.named_parameters():
            if word.startswith("weight_hh"):
                p.zero_()
    torch.manual_seed(2)
    output, _ = layer(torch.ones(20, 100, 4, dtype=F64))
    assert set(output.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(output[0], output[1])
    assert abs(output.mean().item() - 1.0) < 5 / math.sqrt(8000)


def allowed(name, options):
    """The options, with zoneout on those states alone where it is no mistake."""
    return {"zoneout": zoneout_of(CELLS[name], options["zoneout"])} if "zoneout" in options else options


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.5, "num_layers": 2}, {"variational_dropout": 0.4}, {"zoneout": 0.3}],
    ids=lambda o: next(iter(o)),
)
def test_what_is_random_in_training_follows_the_seed_and_stops_in_evaluation(name, options):
    layer = build(name, **allowed(name, options))
    torch.manual_seed(0)
    first, _ = layer(X)
    torch.manual_seed(0)
    again, _ = layer(X)
    other, _ = layer(X)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    layer.eval()
    assert torch.equal(layer(X)[0], layer(X)[0])
    assert first.isfinite().all()


@pytest.mark.parametrize("word", ["dropout", "variational_dropout", "zoneout"])
def test_a_probability_of_zero_is_none_at_all(word):
    plain, zero = build("gru", num_layers=2), build("gru", num_layers=2, **{word: 0.0})
    before = torch.get_rng_state()
    assert torch.equal(plain(X)[0], zero(X)[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("word", ["dropout", "variational_dropout"])
def test_evaluation_with_dropout_is_the_layer_without(word):
    assert torch.equal(build("gru", num_layers=2)(X)[0], build("gru", num_layers=2, **{word: 0.5}).eval()(X)[0])


# -- Zoneout -----------------------------------------------------------------------------------------------------------


def test_zoneout_keeps_the_old_value_or_takes_the_new_one_whole():
    layer = build("gru", zoneout=0.5)
    h, kept = torch.zeros(1, N, 4, dtype=F64), 0
    torch.manual_seed(3)
    free = build("gru")
    for t in range(T):
        before = h
        _, h = layer(X[t : t + 1], before)
        _, new = free(X[t : t + 1], before)
        assert ((h == before) | ((h - new).abs() < 1e-14)).all()
        kept += (h == before).sum().item()
    assert 15 < kept < 45  # of 60, at one half: within four standard deviations


def test_zoneout_keeps_its_share_state_by_state():
    layer = build("lstm", zoneout=(0.0, 0.3))
    torch.manual_seed(5)
    h, c = torch.randn(1, 2500, 4, dtype=F64), torch.randn(1, 2500, 4, dtype=F64)
    x = torch.randn(1, 2500, 3, dtype=F64)
    _, (h_new, c_new) = layer(x, (h, c))
    assert not (h_new == h).any()
    assert abs((c_new == c).double().mean().item() - 0.3) < 0.023


def test_zoneout_in_evaluation_is_the_expectation():
    layer, free = build("lstm", zoneout=(0.1, 0.4)).eval(), build("lstm")
    h, c = x_of(1, N, 4, seed=1), x_of(1, N, 4, seed=2)
    expected = []
    a, b = h, c
    for t in range(T):
        _, (new_h, new_c) = free(X[t : t + 1], (a, b))
        a, b = 0.1 * a + 0.9 * new_h, 0.4 * b + 0.6 * new_c
        expected.append(a[0])
    output, (h_end, c_end) = layer(X, (h, c))
    torch.testing.assert_close(output, torch.stack(expected), rtol=0, atol=1e-13)
    torch.testing.assert_close((h_end, c_end), (a, b), rtol=0, atol=1e-13)


@pytest.mark.parametrize("options", [{"zoneout": 0.4}, {"variational_dropout": 0.4}], ids=lambda o: next(iter(o)))
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "lstm_projected", "slstm"])
def test_padding_reaches_nothing_when_units_are_dropped(options, name):
    layer, found = build(name, bidirectional=True, **allowed(name, options)), []
    for poison in (0.0, float("nan")):
        x = X.clone()
        x[2:, 1] = poison
        x.requires_grad_()
        torch.manual_seed(6)
        output, states = layer(x, lengths=[5, 2, 0])
        loss = output.sin().sum() + sum(s.sum() for s in all_of(states))
        found.append((output, torch.autograd.grad(loss, [x, *layer.parameters()])))
        assert not output[2:, 1].any()
        assert not output[:, 2].any()
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_zoneout_on_states_that_are_one_memory_is_refused():
    """With a mask each for c, n and m, h = c / n is anything: |h| was 8.8 and more where it is at most 1."""
    for zoneout in (0.1, (0.0, 0.0, 0.1, 0.0)):
        with pytest.raises(ConfigError, match="the states c, n, m of cell 'slstm' are one memory") as refused:
            build("slstm", zoneout=zoneout)
    assert "use variational_dropout, or zoneout=(0.1, 0.0, 0.0, 0.0)." in str(refused.value)
    layer = build("slstm", zoneout=(0.5, 0.0, 0.0, 0.0))
    for _ in range(2):
        assert layer(5 * torch.randn(40, N, 3, dtype=F64))[0].abs().max() <= 1
        layer.eval()


# -- Initialisation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "lstm_projected", "lstm_layernorm", "indrnn"])
def test_uniform_initialisation_fills_its_bounds_and_gains_are_one(name):
    torch.manual_seed(0)
    layer = Recurrent(40, 64, cell=name, proj_size=48 if name == "lstm_projected" else 0)
    bound = 1 / math.sqrt(64)
    for word, p in layer.named_parameters():
        if word.startswith("gain"):
            assert torch.equal(p, torch.ones_like(p))
        else:
            assert p.abs().max() <= bound
            assert p.abs().max() > 0.9 * bound
            # The deviation of U(-b, b) is b / sqrt(3); a hundred draws or more are within a quarter of it.
            assert p.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.25)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "mgu", "slstm", "lstm_projected"])
def test_orthogonal_initialisation_keeps_lengths_gate_by_gate(name):
    layer = build(name, init="orthogonal", bidirectional=True, num_layers=2)
    for word, p in layer.named_parameters():
        if word.startswith("weight_hh"):
            for block in p.split(4):
                product = block.T @ block if block.shape[0] >= block.shape[1] else block @ block.T
                torch.testing.assert_close(product, torch.eye(len(product), dtype=F64), rtol=0, atol=1e-12)
        elif word.startswith("bias"):
            assert not p.any()
        elif word.startswith("weight_ih"):
            bound = math.sqrt(6 / (p.shape[1] + 4))
            assert 0.5 * bound < p.abs().max() <= bound


def test_a_relu_network_of_identities_hands_a_positive_state_on_unchanged():
    """Le, Jaitly & Hinton 2015: without input the state stays, forever."""
    layer = build("rnn_relu", init="identity", num_layers=2, bidirectional=True)
    assert layer.weight_hh_l1_reverse.tolist() == torch.eye(4).tolist()
    assert not layer.bias_ih_l0.any()
    assert 0 < layer.weight_ih_l0.abs().max() < 0.005  # five deviations
    start = torch.rand(4, N, 4, dtype=F64)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        _, states = layer(torch.zeros_like(X), start)
    torch.testing.assert_close(states[0], start[0], rtol=0, atol=0)
    assert build("lstm_projected", init="identity").weight_hr_l0.tolist() == torch.eye(2, 4).tolist()


def test_the_forget_bias_is_the_total_of_both_biases_in_every_layer():
    layer = build("lstm", forget_bias=1.5, num_layers=2, bidirectional=True)
    for k in range(2):
        for suffix in ("", "_reverse"):
            b_ih, b_hh = getattr(layer, f"bias_ih_l{k}{suffix}"), getattr(layer, f"bias_hh_l{k}{suffix}")
            assert (b_ih + b_hh)[4:8].tolist() == [1.5] * 4
            assert (b_ih + b_hh)[:4].abs().min() > 0  # the others are as drawn
    assert build("lstm_layernorm", forget_bias=2.0).bias_ih_l0[4:8].tolist() == [2.0] * 4
    assert build("lstm", init="orthogonal", forget_bias=1.0).bias_ih_l0.sum().item() == 4.0


# -- Carried state -----------------------------------------------------------------------------------------------------


def test_detached_pieces_give_the_same_outputs_and_no_gradient_across():
    layer = build("gru")
    expected, _ = layer(X)
    carried, x = Stateful(layer), X.clone().requires_grad_()
    first = carried(x[:2])
    carried.detach()
    second = carried(x[2:])
    # Not to the bit: in float64 a BLAS may round the products of fifteen rows and of six differently.
    assert torch.allclose(torch.cat([first, second]), expected, rtol=0, atol=1e-15)
    (grad,) = torch.autograd.grad(second.sum(), x)
    assert not grad[:2].any()
    assert grad[2:].any()


def test_without_detaching_the_gradient_flows_through_all_pieces():
    layer, x = build("gru"), X.clone().requires_grad_()
    (whole,) = torch.autograd.grad(layer(x)[0][3:].sum(), x)
    carried = Stateful(layer)
    carried(x[:3])
    (pieces,) = torch.autograd.grad(carried(x[3:]).sum(), x)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_rows_can_be_forgotten_one_by_one(name):
    layer = build(name)
    carried = Stateful(layer)
    carried(X[:2])
    carried.reset(torch.tensor([False, True, False]))
    output = carried(X[2:])
    torch.testing.assert_close(output[:, 1], layer(X[2:])[0][:, 1], rtol=0, atol=1e-14)
    torch.testing.assert_close(output[:, 0], layer(X)[0][2:, 0], rtol=0, atol=1e-14)
    carried.reset()
    torch.testing.assert_close(carried(X[2:]), layer(X[2:])[0], rtol=0, atol=0)


def test_pieces_of_different_lengths_go_on_where_each_row_ended():
    layer = build("lstm")
    carried = Stateful(layer)
    carried(X[:3], lengths=[3, 1, 0])
    output = carried(X[:2], lengths=[2, 2, 2])
    expected, _ = layer(torch.cat([X[:1, 1:2], X[:2, 1:2]]))
    torch.testing.assert_close(output[:, 1:2], expected[1:], rtol=0, atol=1e-14)
    torch.testing.assert_close(output[:, 2:], layer(X[:2, 2:])[0], rtol=0, atol=1e-14)


def test_carrying_is_refused_where_it_cannot_be():
    with pytest.raises(ConfigError, match="a bidirectional layer cannot carry its state"):
        Stateful(build("gru", bidirectional=True))
    carried = Stateful(build("gru"))
    carried.reset(torch.tensor([True]))  # nothing is carried yet
    carried(X)
    with pytest.raises(ShapeError, match=r"reset: rows is \(2,\) torch\.bool, expected \(3,\) bool"):
        carried.reset(torch.tensor([True, False]))
    with pytest.raises(ShapeError, match=r"rows is \(3,\) torch\.int64, expected \(3,\) bool"):
        carried.reset(torch.tensor([1, 0, 1]))


# -- Refusals ----------------------------------------------------------------------------------------------------------


@cell()
def unbiased(x, h, p):
    return tanh(p.W("n", x) + p.R("n", h))


REFUSED = [
    (lambda: build("gru", dropout=0.5), "dropout=0.5 acts between layers and num_layers is 1, so it would do nothing: "
     "use more layers, variational_dropout, or dropout 0."),
    (lambda: build("gru", merge="sum"), "merge='sum' joins two directions; set bidirectional, or leave merge out."),
    (lambda: build("gru", merge="som", bidirectional=True), "unknown merge 'som'. Did you mean 'sum'?"),
    (lambda: build("gru", merge="som"), "unknown merge 'som'. Did you mean 'sum'?"),
    (lambda: build("gro"), "unknown cell 'gro'. Did you mean 'gru'?"),
    (lambda: build("gru", init="orthogonel"), "unknown initialisation 'orthogonel'. Did you mean 'orthogonal'?"),
    (lambda: build("gru", backend="reference2"), "unknown backend 'reference2'. Did you mean 'reference'?"),
    (lambda: build("gru", forget_bias=1.0),
     "forget_bias: cell 'gru' has no forget gate f with a bias; leave the option out."),
    (lambda: build("lstm", forget_bias=1.0, bias=False),
     "forget_bias: cell 'lstm' has no forget gate f with a bias; leave the option out."),
    (lambda: build(unbiased, bias=False),
     "bias=False: cell 'unbiased' has no bias, so it would do nothing; leave it out."),
    (lambda: Recurrent(3, 4, cell="gru", proj_size=2),
     "proj_size=2: cell 'gru' has no projection; use cell='lstm_projected', or 0."),
    (lambda: Recurrent(3, 4, cell="lstm_projected"),
     "cell 'lstm_projected' projects its output: set proj_size (below hidden_size)."),
    (lambda: Recurrent(3, 4, cell="lstm_projected", proj_size=4),
     "proj_size has to be smaller than hidden_size, got 4 and 4."),
    (lambda: build("gru", variational_dropout=1.0),
     "variational_dropout should be a number in range [0, 1), got 1.0: a probability."),
    (lambda: build("gru", zoneout=-0.5), "zoneout should be a number in range [0, 1), got -0.5: a probability."),
    (lambda: build("lstm", zoneout=(0.1, 1.5)), "zoneout should be a number in range [0, 1), got 1.5: a probability."),
    (lambda: build("gru", zoneout=(0.1, 0.2)), "zoneout has 2 numbers, expected one or 1: ('h',)."),
    (lambda: GRU(3, 4, cell="lstm"), "cell= is not an option of this layer; use recurra.nn.Recurrent(cell=...)."),
    (lambda: LSTM(3, 4, cell="gru"), "cell= is not an option of this layer; use recurra.nn.Recurrent(cell=...)."),
    (lambda: RNN(3, 4, cell="gru"), "cell= is not an option of this layer; use recurra.nn.Recurrent(cell=...)."),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_an_option_that_cannot_take_effect_is_refused(make, said):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == said


WHOLE = "expected (3,) whole numbers: one length a sequence."


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([1, 2], "GRU: lengths has shape (2,) and type torch.int64, " + WHOLE),
        ([1.0, 2.0, 3.0], "GRU: lengths has shape (3,) and type torch.float32, " + WHOLE),
        ([True] * 3, "GRU: lengths has shape (3,) and type torch.bool, " + WHOLE),
        ([[1, 2, 3]], "GRU: lengths has shape (1, 3) and type torch.int64, " + WHOLE),
        ([1, 2, 6], "GRU: lengths run from 1 to 6, expected 0 to T = 5."),
        ([-1, 2, 5], "GRU: lengths run from -1 to 5, expected 0 to T = 5."),
    ],
)  # fmt: skip
def test_lengths_that_do_not_fit_are_refused(lengths, said):
    with pytest.raises(ShapeError) as caught:
        GRU(3, 4, dtype=F64)(X, lengths=lengths)
    assert str(caught.value) == said


def test_lengths_where_they_mean_nothing_are_refused():
    layer = GRU(3, 4, dtype=F64)
    packed = torch.nn.utils.rnn.pack_sequence([X[:, 0], X[:, 1]])
    with pytest.raises(ShapeError, match=r"^GRU: a PackedSequence brings its lengths; leave out lengths=\.$"):
        layer(packed, lengths=[5, 5])
    with pytest.raises(
        ShapeError, match=r"^GRU: lengths= needs a batch \(T, N, I\); this input is one sequence \(5, 3\)"
    ):
        layer(X[:, 0], lengths=[5])


@pytest.mark.parametrize("kind", [list, tuple, torch.tensor, lambda n: torch.tensor(n, dtype=torch.int32)])
def test_lengths_come_in_any_whole_type(kind):
    layer = GRU(3, 4, dtype=F64, batch_first=True)
    x = X.transpose(0, 1)
    expected, _ = layer(x, lengths=torch.tensor([5, 0, 2]))
    assert torch.equal(layer(x, lengths=kind([5, 0, 2]))[0], expected)
    assert expected.shape == (N, T, 4)
    assert not expected[1].any()


def test_a_users_cell_is_a_layer_like_any_other():
    torch.manual_seed(0)
    layer = Recurrent(3, 4, 2, cell=leaky, bidirectional=True, zoneout=(0.1, 0.0), variational_dropout=0.1, dtype=F64)
    assert list(layer.state_dict())[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_v_l0"]
    output, (h, e) = layer(X, lengths=[5, 0, 2])
    assert output.shape == (T, N, 8)
    assert h.shape == e.shape == (4, N, 4)
    output.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
