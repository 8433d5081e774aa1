"""What comes out: candidates with their probabilities, and what the best one looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.decode import Hypothesis
from recurra.tasks.translation.batches import read_again, read_by_decoder, tokens_of
from recurra.tasks.translation.losses import Forced
from recurra.tasks.translation.pairs import TextPair
from recurra.tasks.translation.readers import Sides

END = "<eos>"
Weights = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer. log_prob: nats, of all tokens and the end; ended: whether the end came before the longest length."""

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    ended: bool

    @property
    def score(self) -> float:
        """0..1: the geometric mean of the probabilities of its tokens and its end."""
        return math.exp(self.log_prob / max(len(self.tokens) + self.ended, 1))


@dataclass(frozen=True, slots=True)
class Translated:
    """A row's answers, best first; forced: how the right answer fared, None where nobody knows it.

    attention: for each token of the best answer, and its end, the weight of each source token; None if not asked for
    """

    candidates: tuple[Candidate, ...]
    forced: Forced | None = None
    attention: Weights | None = None

    @property
    def best(self) -> Candidate:
        return self.candidates[0]


def candidates(sides: Sides, found: Sequence[Hypothesis], example: TextPair) -> tuple[Candidate, ...]:
    """Hypotheses as text."""
    return tuple(_candidate(sides, one, example) for one in found)


def _candidate(sides: Sides, found: Hypothesis, example: TextPair) -> Candidate:
    tokens = tokens_of(sides.target.vocabulary, found.tokens, example.source)
    return Candidate(sides.target.tokenizer.join(tokens), tokens, math.fsum(found.log_probs), found.ended)


def attention_of(model: torch.nn.Module, batch: Batch, found: Sequence[Hypothesis]) -> list[Weights]:
    """What each row's hypothesis looked at, from one pass under teacher forcing. Raises ConfigError for none."""
    inputs = {**batch.inputs, **{k: v.to(batch.inputs["tokens"].device) for k, v in _read(found).items()}}
    prediction = model(Batch(inputs, batch.lengths, {}, batch.indices))
    if "attention" not in prediction.outputs:
        raise ConfigError("attention: this model has none; train one with model.attention, or leave it out.")
    weights: Tensor = prediction.outputs["attention"]
    return [
        _rows(weights[: len(one.tokens) + one.ended, n, :length])
        for n, (one, length) in enumerate(zip(found, batch.lengths.tolist(), strict=True))
    ]


def _read(found: Sequence[Hypothesis]) -> dict[str, Tensor]:
    return read_by_decoder([read_again(one) for one in found])


def _rows(weights: Tensor) -> Weights:
    return tuple(tuple(row) for row in weights.tolist())


def said_tokens(candidate: Candidate) -> tuple[str, ...]:
    """The tokens that attention has a row for."""
    return (*candidate.tokens, END) if candidate.ended else candidate.tokens
