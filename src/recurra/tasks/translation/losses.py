"""What a model said under teacher forcing: the loss of a batch, and how probable and how right its tokens were."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Loss, Prediction, Score
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import EOS
from recurra.engine.linear import steady_linear
from recurra.losses import fixed_sum
from recurra.nn import linear_cross_entropy
from recurra.tasks.translation.pairs import TextPair, wanted

# Rows whose logits are held at once while scoring: 40 MB at a vocabulary of 10,000.
ROWS = 1024


@dataclass(frozen=True, slots=True)
class Forced:
    """A row under teacher forcing. nats: of its answer      count: its tokens, the end among them      right: of these,
    how many were the most probable"""

    nats: float
    count: int
    right: int


def loss_of(prediction: Prediction, batch: Batch, label_smoothing: float) -> Loss:
    """The sum over real target tokens of their cross-entropy, in nats, and of the coverage loss where there is one.

    Raises ConfigError for label smoothing with a model that copies: words that can neither be said nor copied have
    probability 0, and no share of the target.
    Source of the coverage loss, with a weight of 1: See, Liu & Manning 2017, arXiv:1704.04368, eq. 13.
    """
    real = real_targets(batch)
    if "log_probs" in prediction.outputs:
        if label_smoothing:
            raise ConfigError("task.label_smoothing: cannot be used with a model that copies; set it to 0.")
        chosen = batch.targets["copied"][real]
        nats = -prediction.outputs["log_probs"][real].gather(1, chosen.unsqueeze(1)).squeeze(1)
    else:
        out = prediction.outputs
        chosen = batch.targets["tokens"][real]
        nats = linear_cross_entropy(
            out["hidden"][real], out["weight"], out["bias"], chosen, label_smoothing=label_smoothing
        )
    total = fixed_sum(nats)
    if "coverage_loss" in prediction.outputs:
        total = total + fixed_sum(prediction.outputs["coverage_loss"][real])
    return Loss(total, len(nats))


def forced_rows(prediction: Prediction, batch: Batch) -> list[Forced]:
    """How each row's answer fared, without smoothing."""
    real = real_targets(batch)
    steps, rows = real.shape
    nats = torch.zeros(steps, rows, dtype=torch.float64, device=real.device)
    right = torch.zeros(steps, rows, dtype=torch.int64, device=real.device)
    pairs = list(_said(prediction, batch, real))
    nats[real] = torch.cat([one for one, _ in pairs]).double()
    right[real] = torch.cat([other for _, other in pairs]).long()
    # fsum: the same bits in any batch, whatever its padding.
    sums = [math.fsum(row) for row in nats.t().tolist()]
    return [Forced(*row) for row in zip(sums, real.sum(0).tolist(), right.sum(0).tolist(), strict=True)]


def forced_scores(rows: Sequence[Forced | None], split: str) -> tuple[Score, ...]:
    """Of all target tokens together, ends among them; nothing where no model has seen the answers."""
    forced = [row for row in rows if row is not None]
    if len(forced) < len(rows):
        return ()
    count = sum(one.count for one in forced)
    nats = math.fsum(one.nats for one in forced) / count
    return (
        Score("token_accuracy", sum(one.right for one in forced) / count, "0..1", "higher", split),
        # exp of more than 709 is no float; a model that bad has no finite perplexity.
        Score("perplexity", math.exp(nats) if nats < 700 else math.inf, "per token", "lower", split),
        Score("log_loss", nats, "nats", "lower", split),
    )


def real_targets(batch: Batch) -> Tensor:
    """(S, N): which target tokens are real."""
    tokens = batch.targets["tokens"]
    lengths = batch.inputs["target_lengths"].to(tokens.device)
    return torch.arange(len(tokens), device=tokens.device).unsqueeze(1) < lengths


def unigram_loss(train: Sequence[TextPair], rows: Sequence[TextPair], split: str) -> Score:
    """Nats a target token, its end among them, for whoever knows how frequent each is in training, and nothing else.

    Counts with 1 added for each entry of the vocabulary. A model that says no better has not seen its source.
    """
    size = len(wanted(train[0]).encoded.vocabulary)
    counts, asked = _counted(train, size), _counted(rows, size)
    nats = -np.log((counts + 1) / (counts.sum() + size))
    return Score("log_loss", float((asked * nats).sum() / max(asked.sum(), 1)), "nats", "lower", split)


def _counted(rows: Sequence[TextPair], size: int) -> NDArray[np.float64]:
    """(size,) how often each token stands in the targets of rows."""
    counts = np.zeros(size)
    for row in rows:
        np.add.at(counts, wanted(row).encoded.ids, 1)
    counts[EOS] += len(rows)
    return counts


def _said(prediction: Prediction, batch: Batch, real: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Nats, and whether it was the most probable, of the real target tokens, some rows at a time."""
    out = prediction.outputs
    copies = "log_probs" in out
    given = (out["log_probs"] if copies else out["hidden"])[real]
    chosen = batch.targets["copied" if copies else "tokens"][real]
    for some, targets in zip(torch.split(given, ROWS), torch.split(chosen, ROWS), strict=True):
        log_probs = some if copies else torch.log_softmax(steady_linear(some, out["weight"], out["bias"]).float(), -1)
        nats = -log_probs.gather(1, targets.unsqueeze(1)).squeeze(1)
        yield nats, log_probs.argmax(1) == targets
