"""Layers of a Transformer's encoder: attention and a feed-forward part, each with a residual and a norm."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.base.errors import ConfigError
from recurra.engine.units import activated, gated, gelu_tanh
from recurra.nn.dropout import QuickDropout
from recurra.nn.linear import SteadyLinear
from recurra.nn.transformer.again import dropped_units, normed
from recurra.nn.transformer.attention import Cache, Device, SelfAttention
from recurra.nn.transformer.hooks import is_hooked
from recurra.nn.transformer.rows import Rows

Function = Callable[[Tensor], Tensor]


FUNCTIONS: Mapping[str, Function] = {"relu": F.relu, "gelu": F.gelu, "gelu_tanh": gelu_tanh, "silu": F.silu}
# Gated linear units: the product of two linear maps, one of them through a function (Shazeer 2020, arXiv:2002.05202).
GATED: Mapping[str, Function] = {"reglu": F.relu, "geglu": F.gelu, "swiglu": F.silu}
ACTIVATIONS = (*FUNCTIONS, *GATED)
NORMS: Mapping[str, Callable[..., nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class TransformerEncoderLayer(nn.Module):
    """Attention and a feed-forward part: drop-in for torch.nn.TransformerEncoderLayer, with lengths for masks.

    The constructor, the call and the state_dict are torch's; beyond it: `rms` norms, gated activations, `causal` with
    a window, rotary positions. A row has the same bits alone and in any batch, and padding is not computed.
    A gated activation has W_1 and V in the two halves of linear1. Stacks and models ask a layer for rows: hooks of its
    parts run there, with rows (S, d), and those of the layer itself only where it is called by itself.
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
        window: int = 0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.batch_first, self.norm_first = batch_first, norm_first
        self.self_attn = SelfAttention(
            d_model,
            nhead,
            dropout=dropout if attention_dropout is None else attention_dropout,
            bias=bias,
            causal=causal,
            window=window,
            rotary=rotary,
            device=device,
            dtype=dtype,
        )
        self.gated = isinstance(activation, str) and activation in GATED
        self.activation: Function = activation_function(activation)
        self.word = activation if isinstance(activation, str) else ""
        factory: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.linear1 = SteadyLinear(d_model, dim_feedforward * (1 + self.gated), **factory)
        self.dropout = QuickDropout(dropout)
        self.linear2 = SteadyLinear(dim_feedforward, d_model, **factory)
        self.norm1, self.norm2 = (made_norm(norm, d_model, layer_norm_eps, **factory) for _ in range(2))
        self.dropout1, self.dropout2 = QuickDropout(dropout), QuickDropout(dropout)

    def forward(
        self,
        src: Tensor,
        src_mask: None = None,
        src_key_padding_mask: None = None,
        is_causal: bool = False,
        *,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """(T, N, d), (N, T, d) with batch_first, or (T, d) of one sequence; zero behind each row's length.

        lengths: (N,) real steps of each row; None: all are
        Raises ConfigError for masks, whose place lengths take, and for is_causal of a layer that is not.
        """
        refuse_causal("is_causal", asked=is_causal, causal=self.self_attn.causal)
        return by_steps(self, src, (src_mask, src_key_padding_mask), lengths, self.batch_first, self.rows)

    def rows(self, x: Tensor, rows: Rows, cache: Cache | None = None) -> Tensor:
        """(S, d) of rows (S, d)."""
        return self.with_keys(x, rows, cache)[0]

    def with_keys(self, x: Tensor, rows: Rows, cache: Cache | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The same, with keys and values (S, d), for a cache."""
        if self.norm_first:
            y, made_again = normed(self.norm1, x)
            with made_again:
                said, k, v = self.self_attn(y, rows, cache)
            x = x + self.dropout1(said)
            y, made_again = normed(self.norm2, x)
            with made_again:
                return x + self.dropout2(fed_forward(self, y)), k, v
        said, k, v = self.self_attn(x, rows, cache)
        x = self.norm1(x + self.dropout1(said))
        return self.norm2(x + self.dropout2(fed_forward(self, x))), k, v


class FeedsForward(Protocol):
    """A layer with a feed-forward part."""

    linear1: SteadyLinear
    linear2: SteadyLinear
    activation: Function
    gated: bool

    @property
    def dropout(self) -> nn.Dropout: ...


def fed_forward(layer: FeedsForward, x: Tensor) -> Tensor:
    """W_2 f(W_1 x + b_1) + b_2 (Vaswani et al. 2017, equation 2); with a gated activation W_2 (f(W_1 x) * V x)."""
    y, function = layer.linear1(x), layer.activation
    if layer.gated or function is not F.relu:  # torch's ReLU keeps what it says, not what it is given
        function = partial(gated if layer.gated else activated, function=function)
    if not _can_be_made_again(layer):
        found: Tensor = layer.linear2(layer.dropout(function(y)))
        return found
    units, made_again = dropped_units(y, function, layer.dropout.p if layer.dropout.training else 0.0)
    with made_again:
        said: Tensor = layer.linear2(units)
        return said


def _can_be_made_again(layer: FeedsForward) -> bool:
    """Whether the same numbers come of a function and a dropout at any time: another function may draw, or count."""
    dropout, function = layer.dropout, layer.activation
    return (
        type(dropout) is QuickDropout
        and not is_hooked(dropout)
        and any(function is known for known in (GATED if layer.gated else FUNCTIONS).values())
    )


def made_norm(
    word: str, size: int, eps: float, *, bias: bool, device: Device = None, dtype: torch.dtype | None = None
) -> nn.Module:
    """A norm by its word. Raises ConfigError for an unknown one."""
    if word not in NORMS:
        raise ConfigError(f"norm: unknown word '{word}'; expected one of {', '.join(NORMS)}.")
    options: dict[str, Any] = {"bias": bias} if word == "layer" else {}
    return NORMS[word](size, eps=eps, device=device, dtype=dtype, **options)


def activation_function(activation: str | Function) -> Function:
    """A function by its word, or itself. Raises ConfigError for an unknown word."""
    if not isinstance(activation, str):
        return activation
    if activation not in ACTIVATIONS:
        raise ConfigError(f"activation: unknown word '{activation}'; expected one of {', '.join(ACTIVATIONS)}.")
    return {**FUNCTIONS, **GATED}[activation]


L = TypeVar("L", bound=nn.Module)


def of_kind(kind: type[L], layers: Iterable[nn.Module]) -> list[L]:
    """The layers, from below. Raises ConfigError for one of another class: what it would do is not known here."""
    found: list[L] = []
    for k, layer in enumerate(layers):
        if not isinstance(layer, kind):
            name = f"{type(layer).__module__}.{type(layer).__qualname__}"
            raise ConfigError(
                f"layers: number {k} is a {name}, expected recurra.nn.{kind.__name__}, or a class made from it, which "
                "reads rows without padding; its weights can be taken by load_state_dict."
            )
        found.append(layer)
    return found


class TransformerEncoder(nn.Module):
    """Layers one on the other: drop-in for torch.nn.TransformerEncoder. norm: behind the last layer, or None

    Raises ConfigError for a layer of another class.
    """

    def __init__(self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: nn.Module | None = None) -> None:
        super().__init__()
        of_kind(TransformerEncoderLayer, [encoder_layer])
        self.layers = nn.ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: None = None,
        src_key_padding_mask: None = None,
        is_causal: bool | None = None,
        *,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """As a layer's."""
        layers = of_kind(TransformerEncoderLayer, self.layers)
        refuse_causal("is_causal", asked=bool(is_causal), causal=all(layer.self_attn.causal for layer in layers))
        batch_first = any(layer.batch_first for layer in layers)
        return by_steps(self, src, (mask, src_key_padding_mask), lengths, batch_first, self.rows)

    def rows(self, x: Tensor, rows: Rows) -> Tensor:
        """(S, d) of rows (S, d)."""
        from recurra.nn.transformer.whole import through  # which knows these layers

        return through(self.layers, x, rows, self.norm)


def by_steps(
    module: nn.Module,
    x: Tensor,
    masks: tuple[object, ...],
    lengths: Tensor | None,
    batch_first: bool,
    run: Callable[[Tensor, Rows], Tensor],
) -> Tensor:
    """Padded input to rows, through `run`, and back."""
    if any(mask is not None for mask in masks):
        raise ConfigError("mask: is not read; give lengths=(N,), the real steps of each row.")
    if x.dim() not in (2, 3):
        raise ConfigError(f"src: has {x.dim()} dimensions, expected (T, N, d), or (T, d) of one sequence.")
    alone = x.dim() == 2
    x = x.unsqueeze(1) if alone else x.transpose(0, 1) if batch_first else x
    T, N = x.shape[:2]
    rows = Rows.of(T, checked_lengths("lengths", lengths, T, N).to(x.device))
    y = rows.padded(run(rows.packed(x), rows))
    return y.squeeze(1) if alone else y.transpose(0, 1) if batch_first else y


def refuse_causal(name: str, *, asked: bool, causal: bool) -> None:
    """Raise ConfigError where a call asks for it and the layers are made otherwise."""
    if asked and not causal:
        raise ConfigError(f"{name}: the layers see later steps; make them with causal=True.")


def checked_lengths(name: str, lengths: Tensor | None, T: int, N: int) -> Tensor:
    """(N,) lengths as they are given; all T where there are none. Raises ConfigError for others than 0 to T."""
    given = torch.full((N,), T, dtype=torch.int64) if lengths is None else lengths
    if not isinstance(given, Tensor) or given.is_floating_point() or given.is_complex() or given.dtype is torch.bool:
        found = f"a tensor of {given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise ConfigError(f"{name}: expected a tensor of {N} whole numbers from 0 to {T}, got {found}.")
    if given.shape != (N,) or bool(((given < 0) | (given > T)).any()):
        raise ConfigError(f"{name}: expected {N} numbers from 0 to {T}, got {given.tolist()}.")
    return given
