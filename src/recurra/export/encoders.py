"""Encoders as ONNX: from x (T, N, I) to outputs, a summary, and states by name, as `recurra.models.encoders`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.recurrent import last, recurrent
from recurra.models.encoders import AWD, RecurrentEncoder
from recurra.models.encoders.recurrent import state_names
from recurra.nn import Recurrent

States = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class EncodedValues:
    """As `recurra.models.contract.Encoded`, as values."""

    outputs: Value
    lengths: Value
    summary: Value
    states: States


def encoded(draw: Drawing, encoder: nn.Module, x: Value, lengths: Value, given: States) -> EncodedValues:
    """Draw an encoder. given: the states before the first step; zero where there are none.

    Raises ConfigError for an encoder that is not known.
    """
    writer = WRITERS.get(type(encoder))
    if writer is None:
        raise ConfigError(f"export: there is no way to write an encoder {type(encoder).__name__} as ONNX.")
    return writer(draw, encoder, x, lengths, given)


def turned(draw: Drawing, x: Value, lengths: Value) -> Value:
    """Each sequence of x (T, N, ...) turned round within its length."""
    return draw.put("ReverseSequence", x, lengths, time_axis=0, batch_axis=1)


def _recurrent(draw: Drawing, encoder: RecurrentEncoder, x: Value, lengths: Value, given: States) -> EncodedValues:
    x = turned(draw, x, lengths) if encoder.reverse else x
    outputs, summary, states = _run(draw, encoder.recurrent, x, lengths, given, 0)
    outputs = turned(draw, outputs, lengths) if encoder.reverse else outputs
    return EncodedValues(outputs, lengths, summary, states)


def _awd(draw: Drawing, encoder: AWD, x: Value, lengths: Value, given: States) -> EncodedValues:
    states: dict[str, Value] = {}
    for k, layers in enumerate(encoder.recurrents):
        assert isinstance(layers, Recurrent)
        x, summary, after = _run(draw, layers, x, lengths, given, k)
        states |= after
    return EncodedValues(x, lengths, summary, states)


def _run(
    draw: Drawing, layers: Recurrent, x: Value, lengths: Value, given: States, first: int
) -> tuple[Value, Value, dict[str, Value]]:
    names = state_names(layers, first)
    before = tuple(draw.join([draw.spread(given[n], 0) for n in each], 0) for each in names.values()) if given else ()
    outputs, after = recurrent(draw, layers, x, lengths, before) if given else recurrent(draw, layers, x, lengths)
    pairs = zip(names.values(), after, strict=True)
    states = {name: draw.take(value, k, 0) for each, value in pairs for k, name in enumerate(each)}
    return outputs, last(draw, layers, after[0]), states


# The type of an encoder -> what draws it
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, Value, Value, States], EncodedValues]] = {
    RecurrentEncoder: _recurrent,
    AWD: _awd,
}
