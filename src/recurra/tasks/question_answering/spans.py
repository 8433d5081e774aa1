"""Scores of where an answer begins and ends to the loss, and to the best answers.

Devlin et al. 2019, arXiv:1810.04805, section 4.2: the log-probability of an answer is that of its first token plus
that of its last, each by softmax over the tokens of the context; section 4.3: no answer is one more place. Here
softmax goes over the whole context, whatever windows it was read in (Clark & Gardner 2018, arXiv:1710.10723, section
3.2); of several windows the one counts that is least for no answer, as an answer in one of them is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Loss
from recurra.losses import fixed_sum

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer: its tokens, first and last; None for no answer. score: of both ends; probability: among all, 0..1"""

    span: tuple[int, int] | None
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Spanned:
    """The best answers, best first; null: no answer, where it can be said. gap: its score less that of the best one"""

    best: tuple[Candidate, ...]
    null: Candidate | None = None

    @property
    def gap(self) -> float:
        if self.null is None:
            return -np.inf
        return self.null.score - self.best[0].score if self.best else np.inf


def span_loss(logits: Tensor, lengths: Tensor, nulls: Tensor, spans: Tensor) -> Loss:
    """-log p of the first and of the last token of each answer, in nats; one target a question.

    logits: (P, N, 2)      lengths: (N,) places that are real      nulls: (N,) how many of these, the first ones, stand
    for no answer      spans: (N, 2), tokens of the context; -1 for no answer
    """
    nulls, lengths = nulls.to(logits.device), lengths.to(logits.device)
    at = torch.arange(len(logits), device=logits.device).unsqueeze(1)
    is_null, is_token = at < nulls, (at >= nulls) & (at < lengths)
    inf = logits.new_full((), torch.inf)
    nothing = torch.where(is_null.unsqueeze(2), logits, inf).amin(0, keepdim=True)
    nothing = torch.where((nulls > 0).unsqueeze(1), nothing, -inf)
    whole = torch.cat([nothing, torch.where(is_token.unsqueeze(2), logits, -inf)]).log_softmax(0)
    wanted = torch.where(spans >= 0, spans + 1 + nulls.unsqueeze(1), 0)
    found = whole.gather(0, wanted.unsqueeze(0))
    return Loss(-fixed_sum(found), len(spans))


def best_spans(logits: Floats, nulls: int, *, longest: int, number: int) -> Spanned:
    """The best answers of one question, and no answer. logits: (P, 2) of its own places alone; longest: tokens of an
    answer

    Probabilities are by softmax over all spans of at most that many tokens, and no answer.
    """
    first, last = logits[nulls:, 0], logits[nulls:, 1]
    C = len(first)
    L = min(longest, C)
    scores = np.full((C, max(L, 1)), -np.inf)
    for more in range(L):
        scores[: C - more, more] = first[: C - more] + last[more:]
    null = logits[:nulls].min(0).sum() if nulls else -np.inf
    flat = scores.ravel()
    top = max(float(flat.max(initial=-np.inf)), float(null))
    total = np.exp(flat - top).sum() + np.exp(null - top)
    some = np.argsort(-flat, kind="stable")[:number]

    def chance(score: float) -> float:
        return float(np.exp(score - top) / total)

    best = [(divmod(int(k), scores.shape[1]), float(flat[k])) for k in some if np.isfinite(flat[k])]
    found = tuple(Candidate((start, start + more), score, chance(score)) for (start, more), score in best)
    return Spanned(found, Candidate(None, float(null), chance(float(null))) if nulls else None)
