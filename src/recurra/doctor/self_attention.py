"""What each head of a Transformer's encoder looked at while it read one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.doctor.maps import in_pieces
from recurra.nn.transformer.attention import SelfAttention
from recurra.nn.transformer.positions import rotated
from recurra.report import HeatMap

# Heads of all layers that are shown one by one, at most.
HEADS = 32


def attention_by_head(model: nn.Module, batch: Batch) -> Tensor | None:
    """(layers, heads, T, T): the weight of each step (last) for each step; None of a model without such layers.

    batch: of one sequence
    """
    found: list[Tensor] = []

    def look(module: SelfAttention, given: tuple[Any, ...]) -> None:
        found.append(weights_of(module, given[0]))

    with ExitStack() as stack, torch.no_grad():
        for module in model.modules():
            if isinstance(module, SelfAttention):
                stack.callback(module.register_forward_pre_hook(look).remove)
        model(batch)
    return torch.stack(found) if found else None


def weights_of(module: SelfAttention, x: Tensor) -> Tensor:
    """(heads, T, T) of the rows (T, d) of one sequence: softmax(Q K^T / sqrt(d / heads)), of steps that are seen."""
    q, k, _ = (part.view(1, len(x), module.num_heads, module.head_dim).transpose(1, 2) for part in module.projected(x))
    if module.rotary:
        q, k = rotated(q, 0), rotated(k, 0)
    scores = (q @ k.transpose(2, 3))[0] * module.head_dim**-0.5
    if module.causal:
        at = torch.arange(len(x), device=x.device)
        apart = at.unsqueeze(1) - at
        unseen = (apart < 0) | (
            (apart >= module.window) if module.window else torch.zeros_like(apart, dtype=torch.bool)
        )
        scores = scores.masked_fill(unseen, float("-inf"))
    return torch.softmax(scores, 2)


def attention_maps(weights: Tensor | None, tokens: Sequence[str]) -> Iterator[HeatMap]:
    """A map for each head, where there are no more than anybody looks at; else the mean of each layer's."""
    if weights is None or weights.shape[2] != len(tokens):
        return
    by_head = weights.shape[0] * weights.shape[1] <= HEADS
    for layer, heads in enumerate(weights, start=1):
        for head, each in enumerate(heads if by_head else heads.mean(0, keepdim=True), start=1):
            whose = f"head {head}" if by_head else "all heads"
            yield from in_pieces(f"Attention of layer {layer}, {whose}", tokens, tokens, each.tolist())
