"""From a model's scores to the best tags of each sentence, and how sure it is of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.base.errors import ConfigError, RunError
from recurra.engine import sequence_mask
from recurra.losses import cross_entropy
from recurra.losses.summing import fixed_sum
from recurra.nn.crf import crf_nats, marginals, viterbi
from recurra.tasks.tagging.tagset import Allowed


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag for each token, and its probability, 0..1; no probabilities where they are not wanted.

    chances: (n, L), the probability of each tag of the tag set, float32; None where they are not wanted
    """

    tags: tuple[str, ...]
    with_confidence: tuple[float, ...] = ()
    chances: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


def loss_of(prediction: Prediction, batch: Batch) -> Loss:
    """-log p of the right tags, in nats: of whole sentences with a CRF, else of each token; count is of tokens."""
    out, tags = prediction.outputs, batch.targets["tags"]
    if "transitions" in out:
        nats = crf_nats(out["emissions"], tags, batch.lengths, out["transitions"], out["first"], out["last"])
        return Loss(fixed_sum(nats), int(batch.lengths.sum()))
    real = sequence_mask(batch.lengths.to(tags.device), len(tags))
    return cross_entropy(out["emissions"][real], tags[real])


def decoded(
    prediction: Prediction,
    batch: Batch,
    tags: tuple[str, ...],
    allowed: Allowed | None,
    *,
    with_confidence: bool,
    temperature: float = 1.0,
) -> list[Tagged]:
    """The best tags of each sentence, among those that are allowed; their probabilities, as `chances`, if wanted.

    Raises RunError for scores that are not finite.
    """
    emissions, scores = _scores(prediction)
    masks = _masks(allowed)
    try:
        best, _ = viterbi(emissions, batch.lengths, *scores, **masks)
    except ConfigError:  # O is always allowed, so that some tagging is: its score was no number
        raise RunError(
            "the scores of tags hold NaN or infinity: the input or the model's weights are not finite."
        ) from None
    lengths = batch.lengths.tolist()
    chosen = [row[:length] for row, length in zip(best.T.tolist(), lengths, strict=True)]
    if not with_confidence:
        return [Tagged(tuple(tags[k] for k in row)) for row in chosen]
    every = _tempered(marginals(emissions, batch.lengths, *scores, **masks), temperature)
    of_best = every.gather(2, best.unsqueeze(2)).squeeze(2).T.tolist()
    rows = every.float().transpose(0, 1).cpu().numpy()
    return [
        Tagged(tuple(tags[k] for k in row), tuple(some[: len(row)]), all_of_them[: len(row)].copy())
        for row, some, all_of_them in zip(chosen, of_best, rows, strict=True)
    ]


def chances(prediction: Prediction, batch: Batch, allowed: Allowed | None, temperature: float = 1.0) -> Tensor:
    """(T, N, L): the probability of each tag, over all allowed taggings of its sentence, at this temperature."""
    emissions, scores = _scores(prediction)
    return _tempered(marginals(emissions, batch.lengths, *scores, **_masks(allowed)), temperature)


def _tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """(T, N, L): of each token the shares of p^(1 / temperature). Without scores of pairs of tags, it is the softmax of
    scores that are divided by the temperature."""
    if temperature == 1.0:
        return probabilities
    powers = probabilities.double() ** (1 / temperature)
    total = powers.sum(2, keepdim=True)
    shares: Tensor = powers / torch.where(total > 0, total, 1.0)  # where padded there is none
    return shares


def _masks(allowed: Allowed | None) -> dict[str, Tensor]:
    if allowed is None:
        return {}
    return {"allowed": allowed.pairs, "allowed_first": allowed.first, "allowed_last": allowed.last}


def _scores(prediction: Prediction) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Emissions, and the scores of pairs, of the first and of the last tag: 0 where each token stands by itself."""
    out = prediction.outputs
    emissions = out["emissions"].float()
    if "transitions" in out:
        return emissions, (out["transitions"].float(), out["first"].float(), out["last"].float())
    L = emissions.shape[2]
    return emissions, (emissions.new_zeros(L, L), emissions.new_zeros(L), emissions.new_zeros(L))
