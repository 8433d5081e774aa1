"""Layers one on the other: one native call for all of them where that can be, else layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from recurra.engine.transformer import can_run, encode
from recurra.nn.transformer.attention import SelfAttention
from recurra.nn.transformer.hooks import is_watched
from recurra.nn.transformer.layers import TransformerEncoderLayer, of_kind
from recurra.nn.transformer.numbers import encoder_layer_numbers, norm_numbers, tensors_of
from recurra.nn.transformer.positions import turns
from recurra.nn.transformer.rows import Rows


def through(layers: Iterable[nn.Module], x: Tensor, rows: Rows, norm: nn.Module | None = None) -> Tensor:
    """(S, d) of rows (S, d) through layers, and through a norm behind the last.

    In evaluation without gradients, in float32 on the CPU, that is one call, whose results differ from those layer by
    layer by rounding. Hooks, exchanged parts and causal layers, whose pieces must have the bits of the whole, take the
    latter.
    """
    blocks = list(layers)
    made = _at_once(blocks, x, rows, norm)
    if made is not None:
        return made
    for block in of_kind(TransformerEncoderLayer, blocks):
        x = block.rows(x, rows)
    return x if norm is None else norm(x)


def _at_once(blocks: Sequence[nn.Module], x: Tensor, rows: Rows, norm: nn.Module | None) -> Tensor | None:
    if not len(x) or not blocks or any(block.training for block in blocks):
        return None
    numbers = [found for block in blocks if (found := encoder_layer_numbers(block)) is not None]
    last = norm_numbers(nn.Identity() if norm is None else norm)
    if len(numbers) < len(blocks) or last is None or not (first := _common(blocks)):
        return None
    ends = [t for t in (x, last.weight, last.bias) if t is not None]
    if not can_run([*ends, *(t for one in numbers for t in tensors_of(one))]) or any(map(is_watched, blocks)):
        return None
    d = first.embed_dim
    if x.shape[1:] != (d,) or not last.fits(d) or not all(one.fits(d) for one in numbers):
        return None  # layer by layer, torch says what does not fit
    table = turns(torch.arange(rows.T), first.head_dim, x) if first.rotary else None
    return encode(x, numbers, last, rows.spans, num_heads=first.num_heads, turns=table, steps=rows.steps)


def _common(blocks: Iterable[nn.Module]) -> SelfAttention | None:
    """The attention of the first layer, if that of the others is alike and none is causal."""
    each = [block.self_attn for block in blocks if isinstance(block, TransformerEncoderLayer)]
    alike = len({(one.embed_dim, one.num_heads, one.rotary) for one in each}) == 1
    return each[0] if alike and not any(one.causal for one in each) else None
