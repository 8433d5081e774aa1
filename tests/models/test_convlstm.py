"""Recurrent layers over maps: by an oracle, alone as together, frame by frame as whole, padding unread."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles import conv_lstm as oracle
from recurra.base.errors import ConfigError, ShapeError
from recurra.models.encoders import ENCODERS, ConvLSTMEncoder
from recurra.nn import ConvLSTM


def layer(kernel: int = 3, *, peepholes: bool = True) -> ConvLSTM:
    torch.manual_seed(0)
    found = ConvLSTM(2, 3, kernel, grid=(3, 2) if peepholes else None)
    if found.peepholes is not None:
        found.peepholes.data.normal_()
    return found


def encoder(**options: object) -> ConvLSTMEncoder:
    torch.manual_seed(0)
    found = ENCODERS["convlstm"](8 * 6 * 3, shape=(8, 6, 3), **{"patch": 2, "channels": 5, **options})
    assert isinstance(found, ConvLSTMEncoder)
    return found.eval()


@pytest.mark.parametrize(("kernel", "peepholes", "training"), [(3, True, False), (5, True, True), (1, False, False)])
def test_states_and_gradients_are_those_of_the_paper_written_out_in_numpy(
    kernel: int, peepholes: bool, training: bool
) -> None:
    convlstm = layer(kernel, peepholes=peepholes).train(training)
    x = np.random.default_rng(1).normal(size=(3, 1, 3, 2, 2))
    weights = {"W": convlstm.read.weight, "b": convlstm.read.bias, "R": convlstm.carry.weight}
    p = {name: value.detach().double().numpy() for name, value in weights.items() if value is not None}
    seen = None if convlstm.peepholes is None else convlstm.peepholes.detach().double().numpy()
    expected, cell = oracle.run(x[:, 0], p, seen)
    read = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    outputs, (h, c) = convlstm(read)
    np.testing.assert_allclose(outputs.detach()[:, 0], expected, atol=1e-6)  # float32 beside float64
    np.testing.assert_allclose(c.detach()[0], cell, atol=1e-6)
    assert torch.equal(h, outputs[-1])
    outputs.sum().backward()
    step, place = 1e-5, (1, 0, 2, 1, 0)
    ends = []
    for sign in (1, -1):
        moved = x.copy()
        moved[place] += sign * step
        ends.append(oracle.run(moved[:, 0], p, seen)[0].sum())
    assert read.grad is not None
    assert read.grad[place].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-5)


def test_two_pieces_are_the_whole_and_maps_of_another_size_are_named() -> None:
    convlstm, x, lengths = layer().eval(), torch.randn(5, 2, 3, 2, 2), torch.tensor([3, 5])
    with torch.no_grad():
        whole, last = convlstm(x, lengths)
        first, states = convlstm(x[:2])
        rest, states = convlstm(x[2:], lengths - 2, states)
    assert torch.equal(torch.cat([first, rest]), whole)
    assert all(torch.equal(a, b) for a, b in zip(states, last, strict=True))
    assert convlstm(x[:0])[0].shape == (0, 2, 3, 2, 3)
    nothing, (h, _) = convlstm(x, torch.tensor([0, 0]))
    assert not nothing.any() and not h.any()  # noqa: PT018
    with pytest.raises(ShapeError, match=r"2 by 3, expected \(3, 2\)"):
        convlstm(x.transpose(2, 3))
    with pytest.raises(ConfigError, match="expected an odd number"):
        ConvLSTM(2, 3, 4)


@pytest.mark.parametrize("outputs", ["flat", "mean"])
def test_a_film_alone_has_the_bits_of_one_in_a_batch(outputs: str) -> None:
    convlstm = encoder(outputs=outputs, num_layers=2)
    x, lengths = torch.randn(6, 4, 144), torch.tensor([3, 6, 0, 5])
    for n, length in enumerate(lengths.tolist()):
        x[length:, n] = float("nan")
    with torch.inference_mode():
        together = convlstm(x, lengths, {})
        for n, length in enumerate(lengths.tolist()):
            alone = convlstm(x[:length, n : n + 1].contiguous(), lengths[n : n + 1], {})
            assert torch.equal(alone.summary[0], together.summary[n])
            assert torch.equal(alone.outputs[:, 0], together.outputs[:length, n])
            assert all(torch.equal(alone.states[name][0], together.states[name][n]) for name in together.states)


def test_padding_reaches_no_gradient() -> None:
    convlstm = encoder().train()
    x = torch.randn(5, 2, 144)
    x[1:, 1] = float("nan")
    convlstm(x, torch.tensor([5, 1]), {}).summary.sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in convlstm.parameters())


def test_frames_may_come_one_by_one_and_places_are_patches() -> None:
    convlstm = encoder(num_layers=2, dropout=0.5)
    x = torch.randn(4, 1, 144)
    with torch.inference_mode():
        whole, states, step = convlstm(x, torch.tensor([4]), {}), {}, convlstm.incremental()
        for frame, expected in zip(x, whole.outputs, strict=True):
            found, states = step(frame, states)
            assert torch.equal(found, expected)
    assert {name: state.shape[1] for name, state in states.items()} == dict(convlstm.state_sizes())
    assert all(torch.equal(states[name], whole.states[name]) for name in states)
    pixels = torch.arange(144.0).view(8, 6, 3)
    assert convlstm._patches(pixels.reshape(1, 1, -1))[0, 0, 1, 2].tolist() == pixels[2:4, 4:6].flatten().tolist()


def test_what_has_no_effect_or_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 does not divide frames of 8 by 6 pixels"):
        encoder(patch=3)
    with pytest.raises(ConfigError, match="dropout: acts between layers"):
        encoder(dropout=0.1)
    assert ConvLSTMEncoder.least_input({"shape": (8, 6)}) == 48
    for options, numbers in (({}, 16), ({"patch": 5}, 25)):  # a square frame of one patch
        assert ConvLSTMEncoder.least_input(options) == numbers
        ENCODERS["convlstm"](numbers, **options)
