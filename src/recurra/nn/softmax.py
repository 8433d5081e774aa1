"""Output layers over a vocabulary, and what is read off them: nats of targets, log-probabilities of all tokens.

A layer only names its tensors; nats and log-probabilities are functions of a model's named outputs, so that a loss, a
score and a search need the outputs alone, and so that the nats need no matrix of probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.nn.embed import vectors
from recurra.nn.linear_cross_entropy import linear_cross_entropy


class FullSoftmax(nn.Module):
    """A row of weights and a bias for each token: p(token) is softmax(W h + b).

    num_tokens: V      size: D, numbers of h
    weight: (V, D) of an embedding, to share (Press & Wolf 2017, arXiv:1608.05859; Inan et al. 2017, arXiv:1611.01462),
    or None for weights of its own
    """

    def __init__(self, num_tokens: int, size: int, weight: nn.Parameter | None = None) -> None:
        super().__init__()
        self.weight = _drawn(num_tokens, size) if weight is None else weight
        self.bias = nn.Parameter(torch.zeros(num_tokens))

    def forward(self) -> dict[str, Tensor]:
        """Its tensors as outputs of a model."""
        return {"output.weight": self.weight, "output.bias": self.bias}


class AdaptiveSoftmax(nn.Module):
    """Frequent tokens first: a softmax over them and one entry for each cluster of rarer ones, then one in the cluster.

        p(token) = p(token | head)                                  for tokens below the first cutoff
        p(token) = p(cluster | head) p(token | cluster)             for the others

    A step costs the head, and for a rare target its cluster, instead of all V tokens.
    num_tokens: V; the lower a token's number, the more frequent it is      size: D, numbers of h
    cutoffs: the first token of each cluster, rising, between 1 and V - 1
    div_value: cluster k = 1, 2, ... reads D / div_value^k numbers, projected from h, with weights of its own
    weight: (V, D) of an embedding, to share as in `FullSoftmax`; div_value must be 1 then, since each token has D
    numbers, and clusters read h itself.
    Source: Grave et al. 2017, arXiv:1609.04309, section 4. Biases, which torch.nn.AdaptiveLogSoftmaxWithLoss has for
    the head only, start at zero, and so let frequencies be learned in the first steps.
    Raises ConfigError for cutoffs that do not cut, or shared weights with another div_value than 1.
    """

    def __init__(
        self,
        num_tokens: int,
        size: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        weight: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        edges = [0, *cutoffs, num_tokens]
        if not cutoffs or any(a >= b for a, b in pairwise(edges)):
            raise ConfigError(
                f"cutoffs: are {list(cutoffs)}, expected rising numbers from 1 to {num_tokens - 1}: there are "
                f"{num_tokens} tokens."
            )
        if weight is not None and div_value != 1:
            raise ConfigError(f"div_value: is {div_value:g}, expected 1 for weights that are shared with an embedding.")
        self.sizes = [b - a for a, b in pairwise(edges)]
        self.clusters = _drawn(len(cutoffs), size)
        self.bias = nn.Parameter(torch.zeros(num_tokens))
        self.cluster_bias = nn.Parameter(torch.zeros(len(cutoffs)))
        self.weight = weight
        self.projections, self.words = nn.ParameterList(), nn.ParameterList()
        if weight is None:
            widths = [max(1, int(size / div_value**k)) for k in range(len(self.sizes))]
            self.words.extend([_drawn(n, width) for n, width in zip(self.sizes, widths, strict=True)])
            self.projections.extend([_drawn(width, size) for width in widths[1:]])

    def forward(self) -> dict[str, Tensor]:
        """Its tensors as outputs of a model: of the head, of tails 1, 2, ... and what projects to each."""
        # One split: as many slices would make as many gradients of the whole table.
        words = list(self.words) if self.weight is None else torch.split(self.weight, self.sizes)
        biases = torch.split(self.bias, self.sizes)
        found = {
            "output.head": torch.cat([words[0], self.clusters]),
            "output.head_bias": torch.cat([biases[0], self.cluster_bias]),
        }
        for k in range(1, len(self.sizes)):
            found |= {f"output.tail.{k}": words[k], f"output.tail_bias.{k}": biases[k]}
        return found | {f"output.projection.{k}": p for k, p in enumerate(self.projections, start=1)}


def softmax_nats(outputs: Mapping[str, Tensor], targets: Tensor, real: Tensor) -> Tensor:
    """Nats of each real target, (S,), in the order of time, then row.

    outputs: "hidden" (T, N, D) and the tensors of an output layer      targets: (T, N) int64, anything where not real
    real: (T, N) bool, S of them True
    Memory: never (S, V) in float32 on the CPU, as in `linear_cross_entropy`. Raises ShapeError if a real target is no
    token.
    """
    x, wanted = outputs["hidden"][real], targets[real]
    if "output.weight" in outputs:
        return linear_cross_entropy(x, outputs["output.weight"], outputs["output.bias"], wanted)
    start = len(outputs["output.head"]) - sum(1 for _ in _tails(outputs))
    entries, rare = wanted.clone(), []
    low = start
    for k, (weight, bias, projection) in enumerate(_tails(outputs)):
        rows = ((wanted >= low) & (wanted < low + len(weight))).nonzero().squeeze(1)
        entries[rows] = start + k
        inner = _projected(x[rows], projection)
        rare.append((rows, linear_cross_entropy(inner, weight, bias, wanted[rows] - low)))
        low += len(weight)
    nats = linear_cross_entropy(x, outputs["output.head"], outputs["output.head_bias"], entries)
    for rows, more in rare:
        nats = nats.index_add(0, rows, more)
    return nats


def backward_nats(outputs: Mapping[str, Tensor], tokens: Tensor, real: Tensor) -> Tensor:
    """Nats of the token before each real step but the first, (S - N,), as a layer tells them that reads from the end.

    outputs: "hidden.backward" (T - 1, N, D), where step t has read tokens t + 1, t + 2, ... of its row, and the tensors
    of an output layer; without it there is nothing to tell, (0,)
    tokens: (T, N) int64      real: (T, N) bool
    Source: Peters et al. 2018, arXiv:1802.05365, section 3.1.
    """
    hidden = outputs.get("hidden.backward")
    if hidden is None:
        return outputs["hidden"].new_zeros(0)
    return softmax_nats({**outputs, "hidden": hidden}, tokens[:-1], real[1:])


def softmax_log_probabilities(outputs: Mapping[str, Tensor]) -> Tensor:
    """log p of every token at every step, (T, N, V), from the outputs of a model; for few steps."""
    x = outputs["hidden"]
    if "output.weight" in outputs:
        return _log_softmax(x, outputs["output.weight"], outputs["output.bias"])
    head = _log_softmax(x, outputs["output.head"], outputs["output.head_bias"])
    K = sum(1 for _ in _tails(outputs))
    parts = [head[..., :-K]]
    for k, (weight, bias, projection) in enumerate(_tails(outputs)):
        entry = head.shape[-1] - K + k
        parts.append(head[..., entry : entry + 1] + _log_softmax(_projected(x, projection), weight, bias))
    return torch.cat(parts, -1)


def _drawn(rows: int, size: int) -> nn.Parameter:
    """Rows whose length is about 1, as those of an embedding."""
    return nn.Parameter(vectors(rows, size))


def _tails(outputs: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Weight (V_k, D_k), bias (V_k,) and projection (D_k, D), if there is one, of each cluster."""
    k = 1
    while (weight := outputs.get(f"output.tail.{k}")) is not None:
        yield weight, outputs[f"output.tail_bias.{k}"], outputs.get(f"output.projection.{k}")
        k += 1


def _projected(x: Tensor, projection: Tensor | None) -> Tensor:
    return x if projection is None else nn.functional.linear(x, projection)


def _log_softmax(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.log_softmax(nn.functional.linear(x, weight, bias), -1)
