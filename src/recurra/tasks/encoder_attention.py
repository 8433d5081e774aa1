"""What each head of an encoder's self-attention looks at while it reads one sequence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Table
from recurra.doctor.heads import head_table
from recurra.doctor.maps import in_pieces
from recurra.nn.transformer.attention import SelfAttention
from recurra.report import HeatMap

# Heads of all layers, and tokens, that are drawn at most.
MOST_HEADS, MOST_TOKENS = 24, 64


def attention_weights(model: nn.Module, batch: Batch) -> Tensor | None:
    """(layers, heads, T, T) of the only sequence of a batch, in evaluation: rows are steps that look, columns what is
    seen. None for a model without self-attention, or whose layers have different numbers of heads."""
    found: list[Tensor] = []
    layers = [layer for layer in model.modules() if isinstance(layer, SelfAttention)]
    handles = [layer.register_forward_pre_hook(partial(_kept, found), with_kwargs=True) for layer in layers]
    try:
        with torch.no_grad():
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not found or len({one.shape for one in found}) > 1:
        return None
    return torch.stack(found)


def _kept(found: list[Tensor], layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    assert isinstance(layer, SelfAttention)
    found.append(layer.weights(given[0], named["rows"] if "rows" in named else given[1]))


def attention_maps(weights: Tensor | None, tokens: Sequence[str], first: slice) -> Iterator[HeatMap]:
    """A map for each head: what the tokens of `first` look at. tokens: of all steps"""
    if weights is None or weights.shape[3] > 4 * MOST_TOKENS:
        return
    each = [(layer, head) for layer in range(weights.shape[0]) for head in range(weights.shape[1])]
    for layer, head in each[-MOST_HEADS:]:
        title = f"Attention of layer {layer + 1}, head {head + 1}"
        own = weights[layer, head, first]
        yield from in_pieces(title, tokens[first], tokens, own.tolist())


def attention_table(weights: Tensor | None) -> tuple[Table, ...]:
    """How widely each head looks; none for a model without heads."""
    return () if weights is None or math.prod(weights.shape) == 0 else head_table(weights)
