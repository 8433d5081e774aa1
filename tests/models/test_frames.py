"""Strided convolutions over frames: by hand in NumPy, alone and among others, whole and in pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models.inputs import Frames

LENGTHS = [13, 8, 3, 0]


def made(**options: object) -> Frames:
    torch.manual_seed(0)
    return Frames({"features": 3}, **{"hidden_size": 5, **options}).eval()


def batch(features: np.ndarray, lengths: list[int], **states: torch.Tensor) -> Batch:
    given = {"features": torch.from_numpy(features), **{f"state.{name}": one for name, one in states.items()}}
    return Batch(given, torch.tensor(lengths), {}, ())


def features() -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(13, 4, 3)).astype(np.float32)
    for n, length in enumerate(LENGTHS):
        found[length:, n] = np.nan  # what stands in the padding reaches nothing
    return found


def in_numpy(inputs: Frames, x: np.ndarray) -> np.ndarray:
    """One row (T, F). Step j of a layer sees kernel steps, of a causal one up to 2 j + 1; zeros beyond the ends."""
    x, K = x.astype(np.float64), inputs.kernel_size
    for layer in inputs.convolutions:
        C, T = x.shape[1], len(x)
        W, b = layer.weight.detach().double().numpy().reshape(-1, C, K), layer.bias.detach().double().numpy()
        first, y = -(K - 2) if inputs.causal else -((K - 1) // 2), np.zeros((T // 2, len(b)))
        for j in range(T // 2):
            y[j] = b
            for k in range(K):
                if 0 <= (t := 2 * j + first + k) < T:
                    y[j] += W[:, :, k] @ x[t]
        x = np.maximum(y, 0)
    return x


@pytest.mark.parametrize(("causal", "kernel"), [(False, 3), (True, 3), (True, 2), (True, 6), (False, 5)])
def test_each_layer_halves_the_steps_as_written_out(causal: bool, kernel: int) -> None:
    inputs = made(causal=causal, kernel_size=kernel)
    with torch.no_grad():
        x, lengths = inputs(batch(features(), LENGTHS))
    assert lengths.tolist() == [3, 2, 0, 0]
    assert x.shape == (3, 4, 5)
    for n, length in enumerate(LENGTHS):
        wanted = in_numpy(inputs, features()[:length, n])
        np.testing.assert_allclose(x[: len(wanted), n].numpy(), wanted, atol=1e-6)
        assert not x[len(wanted) :, n].any()


def test_a_row_has_the_same_bits_alone() -> None:
    inputs = made(kernel_size=5)
    with torch.no_grad():
        x, _ = inputs(batch(features(), LENGTHS))
        for n, length in enumerate(LENGTHS[:3]):
            alone, _ = inputs(batch(features()[:length, n : n + 1], [length]))
            assert torch.equal(alone[:, 0], x[: len(alone), n])


@pytest.mark.parametrize("kernel", [2, 3, 6])
def test_pieces_of_a_causal_one_have_the_bits_of_the_whole(kernel: int) -> None:
    inputs, row = made(causal=True, kernel_size=kernel), np.random.default_rng(1).normal(size=(20, 1, 3))
    row = row.astype(np.float32)
    with torch.no_grad():
        whole, _ = inputs(batch(row, [20]))
        found, states = [], {}
        for a, b in ((0, 4), (4, 12), (12, 12), (12, 16), (16, 20)):
            x, _, states = inputs.piece(batch(row[a:b], [b - a], **states))
            assert {name: one.shape[1] for name, one in states.items()} == inputs.state_sizes()
            found.append(x)
    assert torch.equal(torch.cat(found), whole)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="kernel_size: is 4, expected an odd number, or causal: true"):
        made(kernel_size=4)
    assert made().cannot_stream() == [
        "causal: a convolution sees frames that come later; train with causal: true to stream."
    ]
    assert Frames.joined({"num_layers": 3}) == 8
