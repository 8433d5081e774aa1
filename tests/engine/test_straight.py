"""The shortest way of a layer without gradients gives the bits of the long one, and leaves to it what it cannot do."""

from __future__ import annotations

import copy

import pytest
import torch

from recurra.base.errors import ShapeError
from recurra.cells import CELLS
from recurra.engine import cpu, straight
from recurra.nn import GRU, LSTM, Recurrent

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")


def long_way(layer, x):
    """The same layer's answer from zeros that are given to it."""
    rows = x.shape[0] if layer.batch_first else x.shape[1]
    zeros = tuple(torch.zeros(1, rows, size) for size in layer.state_sizes())
    with torch.no_grad():
        return layer(x, zeros if len(zeros) > 1 else zeros[0])


def flat(made):
    output, state = made
    return [output, *(state if isinstance(state, tuple) else (state,))]


@pytest.fixture
def taken(monkeypatch):
    """How many calls went the shortest way to its end."""
    counted = []
    monkeypatch.setattr(cpu, "straight", lambda *a: (counted.append(1), cpu._native.straight(*a)))
    return counted


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 4), (3, 17, 1)])
def test_every_cell_has_the_bits_of_the_long_way(cell, shape, taken):
    torch.manual_seed(3)
    projected = {"proj_size": 6} if cell == "lstm_projected" else {}
    layer, x = Recurrent(shape[2], 19, cell=cell, **projected), torch.randn(shape)
    with torch.no_grad():
        short = layer(x)
    assert taken == [1]
    for a, b in zip(flat(short), flat(long_way(layer, x)), strict=True):
        assert a.shape == b.shape
        assert torch.equal(a, b)


def test_the_batch_may_come_first(taken):
    layer, x = GRU(3, 5, batch_first=True), torch.randn(1, 6, 3)
    with torch.no_grad():
        short = layer(x)
    assert taken == [1]
    assert all(torch.equal(a, b) for a, b in zip(flat(short), flat(long_way(layer, x)), strict=True))


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (LSTM(3, 5), torch.randn(6, 4, 3).transpose(0, 1)),  # not in order
        (LSTM(3, 5).double(), torch.randn(6, 4, 3, dtype=torch.float64)),
        (LSTM(3, 5), torch.randn(0, 4, 3)),
        (LSTM(3, 5), torch.randn(6, 3)),  # no batch
        (LSTM(3, 5, num_layers=2), torch.randn(6, 4, 3)),
        (LSTM(3, 5, bidirectional=True), torch.randn(6, 4, 3)),
        (LSTM(3, 5, zoneout=0.5), torch.randn(6, 4, 3)),
        (LSTM(3, 5, variational_dropout=0.5), torch.randn(6, 4, 3)),
        (LSTM(3, 5, backend="reference"), torch.randn(6, 4, 3)),
    ],
)
def test_what_asks_for_more_goes_the_long_way(layer, x, taken):
    with torch.no_grad():
        layer(x)
    assert not taken


def test_a_parameter_of_another_shape_is_refused_as_ever():
    layer = LSTM(3, 5)
    layer.weight_hh_l0.data = layer.weight_hh_l0.data[:8]
    with pytest.raises(ShapeError), torch.no_grad():
        layer(torch.randn(6, 4, 3))


def test_changed_parameters_are_seen_at_once(taken):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_ih_l0.data.mul_(2.0)
        after = layer(x)[0]
        layer.weight_ih_l0.data = layer.weight_ih_l0.data.clone().mul_(0.5)
        again = layer(x)[0]
    assert len(taken) == 3
    assert not torch.equal(before, after)
    assert torch.equal(before, again)


def test_a_layer_can_be_copied_after_it_was_called():
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        expected = layer(x)[0]
        assert torch.equal(copy.deepcopy(layer)(x)[0], expected)


def test_the_shortest_way_says_nothing_of_what_it_cannot_do():
    layer = LSTM(3, 5)
    packed = dict(layer.named_parameters())
    assert straight.run(layer.cell, torch.randn(6, 3), packed) is None


def test_an_engine_built_before_goes_the_long_way(monkeypatch):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    older = type("older", (), {k: staticmethod(getattr(cpu._native, k)) for k in ("Call", "forward", "isas")})
    expected = long_way(layer, x)
    monkeypatch.setattr(cpu, "_native", older)
    with torch.no_grad():
        assert torch.equal(layer(x)[0], expected[0])
