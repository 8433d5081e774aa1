"""What a batch costs: the right replies, and with a model that learns them the turns before."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.data.tokenizers import EOS
from recurra.losses import fixed_sum
from recurra.nn import linear_cross_entropy
from recurra.tasks.translation.losses import loss_of


def dialogue_loss(prediction: Prediction, batch: Batch, label_smoothing: float) -> Loss:
    """Cross-entropy of the reply's tokens and its end, in nats; with "source_hidden" also of what follows each token of
    the context, to which the end belongs that stands between two turns. Each token counts alike."""
    found = loss_of(prediction, batch, label_smoothing)
    out = prediction.outputs
    if "source_hidden" not in out:
        return found
    real, following = followed(batch.inputs["tokens"], batch.lengths)
    hidden = out["source_hidden"][: len(real)][real]
    nats = linear_cross_entropy(hidden, out["weight"], out["bias"], following[real], label_smoothing=label_smoothing)
    before = fixed_sum(nats)
    parts = {"replies": found.total.detach(), "turns_before": before.detach()}
    return Loss(found.total + before, found.count + len(nats), parts)


def followed(tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Which steps of tokens (T, N) are real, and what follows each: the next token, or the end."""
    steps, lengths = torch.arange(len(tokens), device=tokens.device).unsqueeze(1), lengths.to(tokens.device)
    following = torch.cat([tokens[1:], tokens.new_zeros(min(1, len(tokens)), tokens.shape[1])])
    return steps < lengths, torch.where(steps == lengths - 1, EOS, following)
