"""How well texts are written again: by the probability of their tokens, and by which tokens come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics.ngrams import Bigram, Unigram
from recurra.metrics.reconstruction import FORMULAS as OF_CODES
from recurra.tasks.autoencoding.bounds import bound_scores
from recurra.tasks.language_model.scoring import perplexity

Floats = NDArray[np.float32]
FORMULAS = {
    **OF_CODES,
    "log_loss": "- log p(token | tokens before it, code), mean of all tokens and ends",
    "perplexity": "exp((nats of all tokens + KL) / tokens): at least that of the text, a bound from the drawn code",
    "token_accuracy": "share of tokens, ends among them, that greedy writing from the code has at the same place",
    "exact_match": "share of texts whose tokens all come back",
    "elbo": "log p(text | z) - KL of a text, z drawn once: at most log p(text)",
}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a model wrote of a text. tokens: of the vocabulary      log_prob: nats of these, and of the end

    nats: of the text and its end, `count` tokens, given its code      same: how many came back at their place
    code: (Z,)      parts: what the code costs, by name      log_variance: (Z,), of a code that is a distribution
    """

    tokens: tuple[int, ...]
    log_prob: float
    nats: float
    count: int
    same: int
    code: Floats
    parts: dict[str, float] = field(default_factory=dict)
    log_variance: Floats | None = None

    @property
    def is_exact(self) -> bool:
        return self.same == self.count == len(self.tokens) + 1


def text_scores(outputs: Sequence[Rewritten], split: str, *, variational: bool) -> tuple[Score, ...]:
    """Bounds of a variational code, nats a token, and what came back."""
    tokens = max(sum(one.count for one in outputs), 1)
    nats = math.fsum(one.nats for one in outputs)
    found = likelihood_scores(nats, tokens, split, bound=False)
    if variational:
        cost = math.fsum(one.parts.get("kl", 0.0) for one in outputs)
        known: Any = outputs  # have codes with their parts, which is all that is asked of them
        bounds = bound_scores(nats / max(len(outputs), 1), known, split)
        found = (*bounds, *likelihood_scores(nats + cost, tokens, split, bound=True)[:1], *found)
    same, exact = sum(one.same for one in outputs), sum(one.is_exact for one in outputs)
    return (
        *found,
        Score("token_accuracy", same / tokens, "0..1", "higher", split),
        Score("exact_match", exact / max(len(outputs), 1), "0..1", "higher", split),
    )


def likelihood_scores(nats: float, tokens: int, split: str, *, bound: bool) -> tuple[Score, ...]:
    """Perplexity where it is a bound on that of the text, and nats a token."""
    loss = Score("log_loss", nats / tokens, "nats", "lower", split)
    return (Score("perplexity", perplexity(nats, tokens), "per token", "lower", split), loss) if bound else (loss,)


@dataclass(frozen=True, slots=True)
class Counted:
    """What it reaches to count tokens, and pairs of tokens, without any code."""

    unigram: Unigram
    bigram: Bigram

    @classmethod
    def of(cls, read: NDArray[np.int64], said: NDArray[np.int64], size: int) -> Counted:
        """Of pairs of training, each token with the one before it. size: of the vocabulary"""
        return cls(Unigram(said, size), Bigram(read, said, size))

    def scores(
        self, read: NDArray[np.int64], said: NDArray[np.int64], split: str, *, bound: bool
    ) -> dict[str, tuple[Score, ...]]:
        """By name. bound: with perplexities"""
        nats = {"unigram": self.unigram.nats(said), "bigram": self.bigram.nats(read, said)}
        tokens = max(len(said), 1)
        return {name: likelihood_scores(float(one.sum()), tokens, split, bound=bound) for name, one in nats.items()}
