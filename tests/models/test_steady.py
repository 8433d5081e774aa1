"""Heads, codes and layers in evaluation: a row has the same bits alone and among others, on every processor's BLAS."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recurra.engine import cpu
from recurra.losses.likelihoods import LIKELIHOODS
from recurra.models.contract import Encoded
from recurra.models.encoders import ENCODERS
from recurra.models.heads import HEADS
from recurra.models.latents import LATENTS
from recurra.models.reconstructions import RECONSTRUCTIONS
from recurra.nn import POOLS

T, N, M = 6, 33, 77
SIZES = {"labels": 9, "features": 5, "targets": 3, "numbers": 2, "code": 12, "row": 20, "noisy": 0, "variational": 0,
         "values": 20, "parameters": 1, "steps": 1}  # fmt: skip
pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def encoded(rows: slice) -> Encoded:
    x = numbers(T, N, M)[:, rows].contiguous()
    return Encoded(x, torch.full((x.shape[1],), T), x[-1], {})


def steady(run: Any, batch: Any = lambda rows: encoded(rows), axis: int = 0) -> None:
    with torch.inference_mode():
        together = run(batch(slice(0, N)))
        for n in (0, 7, N - 1):
            alone = run(batch(slice(n, n + 1)))
            assert torch.equal(together.narrow(axis, n, 1), alone)


@pytest.mark.parametrize("word", ["span", "tags", "notes"])
def test_heads_of_steps(word: str) -> None:
    torch.manual_seed(0)
    head = HEADS[word](M, SIZES, None).eval()
    steady(lambda given: next(iter(head(given).values())), axis=1)


@pytest.mark.parametrize("pooling", list(POOLS))
def test_heads_of_whole_rows(pooling: str) -> None:
    torch.manual_seed(0)
    head = HEADS["label"](M, SIZES, None, pooling=pooling).eval()
    steady(lambda given: head(given)["logits"])


@pytest.mark.parametrize("length", [0, 3])
def test_the_head_of_the_last_state_says_of_a_row_without_steps_what_it_says_of_zeros(length: int) -> None:
    torch.manual_seed(0)
    head = HEADS["label"](M, SIZES, None, pooling="last").eval()
    x, summary = numbers(length, 2, M), numbers(2, M)
    with torch.inference_mode():
        said = head(Encoded(x, torch.tensor([length, 0]), summary, {}))["logits"]
        seen = summary[:1] if length else torch.zeros(1, M)
        expected = head(Encoded(numbers(1, 2, M), torch.tensor([1, 1]), torch.cat([seen, torch.zeros(1, M)]), {}))
    assert torch.equal(said, expected["logits"])


def test_feed_forward_layers() -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["dense"](M, sizes=(40, 9)).eval()
    steady(lambda given: encoder(given.outputs, given.lengths, {}).outputs, axis=1)


@pytest.mark.parametrize("word", list(LATENTS))
def test_codes(word: str) -> None:
    torch.manual_seed(0)
    latent = LATENTS[word](M, {**SIZES, "variational": int(word == "variational")}).eval()
    steady(lambda given: latent(given.summary, None).best)


@pytest.mark.parametrize("outputs", ["flat", "mean", "places"])
def test_convolutions_over_pictures(outputs: str) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["pictures"](M, shape=(7, 11), layer_norm=True, activation="sigmoid", outputs=outputs).eval()
    steady(lambda given: encoder(given.outputs, given.lengths, {}).outputs, axis=1)
    steady(lambda given: encoder(given.outputs, given.lengths, {}).summary)


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_pictures_of_a_code(upsampling: str) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["pictures"](20, shape=(4, 5))
    decoder = RECONSTRUCTIONS["pictures"](12, encoder, SIZES, upsampling=upsampling).eval()
    length = torch.ones(N, dtype=torch.int64)
    steady(lambda codes: decoder(codes, length[: len(codes)]), lambda rows: numbers(N, 12)[rows], axis=1)


def test_probabilities_of_pixels() -> None:
    bernoulli = LIKELIHOODS["bernoulli"](0)
    steady(bernoulli.mean, lambda rows: numbers(N, M, 1)[rows])


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_reconstructions_of_a_code(activation: str) -> None:
    torch.manual_seed(0)
    decoder = RECONSTRUCTIONS["dense"](12, None, SIZES, sizes=(41,), activation=activation).eval()
    length = torch.ones(N, dtype=torch.int64)
    steady(lambda codes: decoder(codes, length[: len(codes)]), lambda rows: numbers(N, 12)[rows], axis=1)
