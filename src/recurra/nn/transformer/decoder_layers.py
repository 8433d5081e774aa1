"""Layers of a Transformer's decoder: attention to itself, attention to the source, and a feed-forward part."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.nn.dropout import QuickDropout
from recurra.nn.linear import SteadyLinear
from recurra.nn.transformer.attention import Cache, CrossAttention, Device, SelfAttention
from recurra.nn.transformer.layers import (
    GATED,
    Function,
    activation_function,
    checked_lengths,
    fed_forward,
    made_norm,
    of_kind,
    refuse_causal,
)
from recurra.nn.transformer.rows import Pairs

# A part of a layer: from normed rows to what is added to them.
Part = Callable[[Tensor], Tensor]


class TransformerDecoderLayer(nn.Module):
    """Attention to the target, to the source, and a feed-forward part: drop-in for torch.nn.TransformerDecoderLayer.

    The constructor, the call and the state_dict are torch's, with lengths for masks; beyond it: `rms` norms, gated
    activations, rotary positions of the target, and `causal`, which is a property of the layer here. A row has
    the same bits alone and in any batch, and padding is not computed on either side. Stacks and models ask it for rows
    or parts: hooks of its parts run there, and those of the layer itself only where it is called by itself.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.1.
    norm_first: x + f(norm(x)), which needs a norm behind the last layer; else norm(x + f(x))
    Raises ConfigError for options that cannot be.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Function = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        norm: str = "layer",
        attention_dropout: float | None = None,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        weights = dropout if attention_dropout is None else attention_dropout
        self.batch_first, self.norm_first = batch_first, norm_first
        factory: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = SelfAttention(d_model, nhead, dropout=weights, causal=causal, rotary=rotary, **factory)
        self.multihead_attn = CrossAttention(d_model, nhead, dropout=weights, **factory)
        self.gated = isinstance(activation, str) and activation in GATED
        self.activation: Function = activation_function(activation)
        self.word = activation if isinstance(activation, str) else ""
        self.linear1 = SteadyLinear(d_model, dim_feedforward * (1 + self.gated), **factory)
        self.dropout = QuickDropout(dropout)
        self.linear2 = SteadyLinear(dim_feedforward, d_model, **factory)
        self.norm1, self.norm2, self.norm3 = (made_norm(norm, d_model, layer_norm_eps, **factory) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = (QuickDropout(dropout) for _ in range(3))

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: None = None,
        memory_mask: None = None,
        tgt_key_padding_mask: None = None,
        memory_key_padding_mask: None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        lengths: Tensor | None = None,
        memory_lengths: Tensor | None = None,
    ) -> Tensor:
        """(T, N, d), (N, T, d) with batch_first, or (T, d) of one sequence; zero behind each row's length.

        memory: of S steps in place of T      lengths, memory_lengths: (N,) real steps of each row; None: all are
        Raises ConfigError for masks, whose place lengths take, and for tgt_is_causal of a layer that is not.
        """
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        _refuse(masks, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal, causal=self.self_attn.causal)
        return _by_steps(tgt, memory, lengths, memory_lengths, self.batch_first, self.rows)

    def rows(self, x: Tensor, source: Tensor, pairs: Pairs) -> Tensor:
        """(S, d) of a target's rows (S, d) and the source's (R, d)."""
        memory = self.multihead_attn.keys_and_values(source)
        return self.parts(x, lambda y: self.self_attn(y, pairs.target)[0], lambda y: self.seen(y, memory, pairs))

    def seen(self, x: Tensor, memory: Cache, pairs: Pairs) -> Tensor:
        """What attention to the source says: (S, d) of a target's rows (S, d)."""
        said: Tensor = self.multihead_attn(x, memory, pairs)
        return said

    def parts(self, x: Tensor, itself: Part, source: Part) -> Tensor:
        """The layer, with the ways in which it attends to the target and to the source."""
        each: tuple[tuple[Part, nn.Module, nn.Module], ...] = (
            (itself, self.norm1, self.dropout1),
            (source, self.norm2, self.dropout2),
            (lambda y: fed_forward(self, y), self.norm3, self.dropout3),
        )
        for part, norm, dropout in each:
            x = x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))
        return x


class TransformerDecoder(nn.Module):
    """Layers one on the other: drop-in for torch.nn.TransformerDecoder. norm: behind the last layer, or None

    Raises ConfigError for a layer of another class.
    """

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: nn.Module | None = None) -> None:
        super().__init__()
        of_kind(TransformerDecoderLayer, [decoder_layer])
        self.layers = nn.ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: None = None,
        memory_mask: None = None,
        tgt_key_padding_mask: None = None,
        memory_key_padding_mask: None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        lengths: Tensor | None = None,
        memory_lengths: Tensor | None = None,
    ) -> Tensor:
        """As a layer's."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        causal = all(layer.self_attn.causal for layer in self.blocks)
        _refuse(masks, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal, causal=causal)
        batch_first = any(layer.batch_first for layer in self.blocks)
        return _by_steps(tgt, memory, lengths, memory_lengths, batch_first, self.rows)

    @property
    def blocks(self) -> list[TransformerDecoderLayer]:
        """The layers, from below."""
        return of_kind(TransformerDecoderLayer, self.layers)

    def rows(self, x: Tensor, source: Tensor, pairs: Pairs) -> Tensor:
        """(S, d) of a target's rows (S, d) and the source's (R, d)."""
        for layer in self.blocks:
            x = layer.rows(x, source, pairs)
        return x if self.norm is None else self.norm(x)


def _refuse(masks: tuple[object, ...], *, tgt_is_causal: bool, memory_is_causal: bool, causal: bool) -> None:
    if any(mask is not None for mask in masks):
        raise ConfigError(
            "mask: is not read; give lengths=(N,) and memory_lengths=(N,), the real steps of each row, and make the "
            "layers with causal=True."
        )
    refuse_causal("tgt_is_causal", asked=tgt_is_causal, causal=causal)
    if memory_is_causal:
        raise ConfigError("memory_is_causal: a step of the target sees all of its source; leave it out.")


def _by_steps(
    tgt: Tensor,
    memory: Tensor,
    lengths: Tensor | None,
    memory_lengths: Tensor | None,
    batch_first: bool,
    run: Callable[[Tensor, Tensor, Pairs], Tensor],
) -> Tensor:
    """Padded targets and sources to rows, through `run`, and back."""
    if tgt.dim() not in (2, 3) or memory.dim() != tgt.dim():
        raise ConfigError(
            f"tgt, memory: have {tgt.dim()} and {memory.dim()} dimensions, expected (T, N, d) and (S, N, d), or (T, d) "
            "and (S, d) of one sequence."
        )
    alone = tgt.dim() == 2
    x, source = (y.unsqueeze(1) if alone else y.transpose(0, 1) if batch_first else y for y in (tgt, memory))
    if x.shape[1] != source.shape[1]:
        raise ConfigError(f"memory: has {source.shape[1]} rows, and tgt {x.shape[1]}; expected as many.")
    real = checked_lengths("lengths", lengths, *x.shape[:2]).to(x.device)
    read = checked_lengths("memory_lengths", memory_lengths, *source.shape[:2]).to(x.device)
    pairs = Pairs.of(len(x), real, len(source), read)
    y = pairs.target.padded(run(pairs.target.packed(x), pairs.source.packed(source), pairs))
    return y.squeeze(1) if alone else y.transpose(0, 1) if batch_first else y
