"""Output layers over a vocabulary, and what is read off them: nats of targets, log-probabilities of all tokens.

A layer only names its tensors; nats and log-probabilities are functions of a model's named outputs, so that a loss, a
score and a search need the outputs alone, and so that the nats need no matrix of probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurra.nn.linear_cross_entropy import linear_cross_entropy


class FullSoftmax(nn.Module):
    """One row of weights and a bias a token: log softmax(h W^T + b).

    size: D, numbers of h      weight: (V, D) to share with an embedding (Press & Wolf 2017, arXiv:1608.05859; Inan et
    al. 2017, arXiv:1611.01462), or None for weights of its own
    """

    def __init__(self, num_tokens: int, size: int, weight: nn.Parameter | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_tokens, size).normal_(0, size**-0.5)) if weight is None else weight
        self.bias = nn.Parameter(torch.zeros(num_tokens))

    def forward(self) -> dict[str, Tensor]:
        """Its tensors as outputs of a model."""
        return {"output.weight": self.weight, "output.bias": self.bias}


def softmax_nats(outputs: Mapping[str, Tensor], targets: Tensor, real: Tensor) -> Tensor:
    """Nats of each real target, (S,), in the order of time, then row.

    outputs: "hidden" (T, N, D) and the tensors of an output layer      targets: (T, N) int64, anything where not real
    real: (T, N) bool, S of them True
    Raises ShapeError if a real target is no token.
    """
    return linear_cross_entropy(
        outputs["hidden"][real], outputs["output.weight"], outputs["output.bias"], targets[real]
    )


def softmax_log_probabilities(outputs: Mapping[str, Tensor]) -> Tensor:
    """log p of every token at every step, (T, N, V), from the outputs of a model; for few steps."""
    logits = nn.functional.linear(outputs["hidden"], outputs["output.weight"], outputs["output.bias"])
    return torch.log_softmax(logits, -1)
