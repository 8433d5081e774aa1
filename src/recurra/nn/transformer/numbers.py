"""What native code needs of layers, where they are such as it knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from recurra.engine.transformer import DecoderLayerNumbers, EncoderLayerNumbers, LinearNumbers, NormNumbers
from recurra.nn.linear import SteadyLinear
from recurra.nn.transformer.attention import CrossAttention, SelfAttention
from recurra.nn.transformer.decoder_layers import TransformerDecoderLayer
from recurra.nn.transformer.layers import FUNCTIONS, Function, TransformerEncoderLayer


def encoder_layer_numbers(layer: nn.Module) -> EncoderLayerNumbers | None:
    """Of a layer of an encoder; None as `decoder_layer_numbers`."""
    if type(layer) is not TransformerEncoderLayer:
        return None
    known = _KNOWN.get(layer)
    if known is not None and known.holds():
        return known.numbers
    if (numbers := _numbers_of(layer)) is not None:
        _KNOWN[layer] = _Known(layer, numbers)
    return numbers


TABLES = ("_modules", "_parameters", "_buffers")  # where a module has its parts and numbers


class _Known:
    """The numbers of a layer for as long as all that they were read from is the same: parts, parameters and options.

    Asked name by name, the parameters of six layers take a twentieth of a short text.
    """

    __slots__ = ("_kinds", "_places", "numbers")

    def __init__(self, layer: TransformerEncoderLayer, numbers: EncoderLayerNumbers) -> None:
        itself, norms = layer.self_attn, (layer.norm1, layer.norm2)
        parts: list[nn.Module] = [itself, itself.out_proj, layer.linear1, layer.linear2, *norms]
        self.numbers = numbers
        # Not the layer itself, which what is kept for it would keep alive.
        self._kinds = [(part, type(part)) for part in parts]
        tables = [(vars(part), name) for part in (layer, *parts) for name in TABLES]
        options = [(vars(layer), name) for name in ("activation", "gated", "norm_first")]
        options += [(vars(norm), name) for norm in norms for name in ("eps", "normalized_shape") if name in vars(norm)]
        # A tensor that is no parameter may stand in the place of one.
        options += [(vars(part), name) for part in parts for name, t in vars(part).items() if isinstance(t, Tensor)]
        read = [(t, name) for part in (layer, *parts) for t in (vars(part)[each] for each in TABLES) for name in t]
        self._places: list[tuple[Mapping[str, Any], str, object]] = [
            (where, name, where[name]) for where, name in (*tables, *options, *read)
        ]

    def holds(self) -> bool:
        """Whether each place has the object that it had. What a tensor is, and its numbers, are not looked at."""
        for where, name, found in self._places:
            if where.get(name) is not found:
                return False
        return all(type(part) is kind for part, kind in self._kinds)


_KNOWN: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()


def _numbers_of(layer: TransformerEncoderLayer) -> EncoderLayerNumbers | None:
    if type(layer.self_attn) is not SelfAttention:
        return None
    itself, norms = layer.self_attn, (norm_numbers(layer.norm1), norm_numbers(layer.norm2))
    activation = _word_of(layer.activation)
    if (
        activation is None
        or norms[0] is None
        or norms[1] is None
        or not _are_linear(itself.out_proj, layer.linear1, layer.linear2)
    ):
        return None
    return EncoderLayerNumbers(
        projection=LinearNumbers(itself.in_proj_weight, itself.in_proj_bias),
        out=linear_numbers(itself.out_proj),
        first=linear_numbers(layer.linear1),
        second=linear_numbers(layer.linear2),
        norms=(norms[0], norms[1]),
        activation=activation,
        gated=layer.gated,
        norm_first=layer.norm_first,
    )


def decoder_layer_numbers(layer: nn.Module) -> DecoderLayerNumbers | None:
    """Of a layer of a decoder; None of another class, of a function without a word, of norms that are others."""
    if type(layer) is not TransformerDecoderLayer or not _as_made(layer):
        return None
    norms = [norm_numbers(norm) for norm in (layer.norm1, layer.norm2, layer.norm3)]
    activation = _word_of(layer.activation)
    if activation is None or norms[0] is None or norms[1] is None or norms[2] is None:
        return None
    itself, across, d = layer.self_attn, layer.multihead_attn, layer.self_attn.embed_dim
    return DecoderLayerNumbers(
        projection=LinearNumbers(itself.in_proj_weight, itself.in_proj_bias),
        out=linear_numbers(itself.out_proj),
        query=LinearNumbers(
            across.in_proj_weight[:d], None if across.in_proj_bias is None else across.in_proj_bias[:d]
        ),
        across=linear_numbers(across.out_proj),
        first=linear_numbers(layer.linear1),
        second=linear_numbers(layer.linear2),
        norms=(norms[0], norms[1], norms[2]),
        activation=activation,
        gated=layer.gated,
        norm_first=layer.norm_first,
    )


def linear_numbers(module: nn.Linear) -> LinearNumbers:
    """Of a linear layer."""
    return LinearNumbers(module.weight, module.bias)


def norm_numbers(module: nn.Module) -> NormNumbers | None:
    """Of a norm over the last dimension, or of nothing in its place; None of what is neither."""
    if isinstance(module, nn.Identity):
        return NormNumbers()
    if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
        return NormNumbers("layer", module.weight, module.bias, module.eps, module.normalized_shape[0])
    if type(module) is nn.RMSNorm and len(module.normalized_shape) == 1 and module.eps is not None:
        return NormNumbers("rms", module.weight, None, module.eps, module.normalized_shape[0])
    return None


def tensors_of(layer: EncoderLayerNumbers | DecoderLayerNumbers) -> list[Tensor]:
    """All numbers of a layer."""
    return [t for t in layer.tensors if t is not None]


def _as_made(layer: TransformerDecoderLayer) -> bool:
    """Whether its parts are of the classes that it was made with: a part may be exchanged for another."""
    attentions = type(layer.self_attn) is SelfAttention and type(layer.multihead_attn) is CrossAttention
    return attentions and _are_linear(
        layer.self_attn.out_proj, layer.multihead_attn.out_proj, layer.linear1, layer.linear2
    )


def _are_linear(*modules: nn.Module) -> bool:
    return all(type(one) in (SteadyLinear, nn.Linear) for one in modules)


def _word_of(function: Function) -> str | None:
    return next((word for word, known in FUNCTIONS.items() if known is function), None)
