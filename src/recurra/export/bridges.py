"""From an encoded source to a decoder's first states, as ONNX nodes; as `recurra.models.bridge`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import linear, mean, write
from recurra.export.onnx_graph import Drawing, Value
from recurra.models import bridge


@dataclass(frozen=True, slots=True)
class Source:
    """An encoded source, as values.

    outputs, lengths: (T, N, M) and (N,), None where the source is no sequence
    states:  by name, one (N, width) a layer        summary: (N, M)
    """

    outputs: Value | None
    lengths: Value | None
    states: Mapping[str, list[Value]]
    summary: Value


def first_states(draw: Drawing, module: nn.Module, source: Source) -> list[list[Value]]:
    """The decoder's first states, layer by layer and in the order of its cell, (N, width) each."""
    if not isinstance(module, bridge.Zeros | bridge.Last | bridge.Mapped):
        raise ConfigError(f"export: there is no way to write the bridge {type(module).__name__} as ONNX.")
    target = module.target
    return [
        [_state(draw, module, source, layer, name, width) for name, width in target.states.items()]
        for layer in range(target.layers)
    ]


def _state(
    draw: Drawing,
    module: bridge.Zeros | bridge.Last | bridge.Mapped,
    source: Source,
    layer: int,
    name: str,
    width: int,
) -> Value:
    if isinstance(module, bridge.Last):
        return source.states[name][layer]
    key = f"{name}_l{layer}"
    if isinstance(module, bridge.Zeros) or key not in module.maps:
        return draw.zeros(draw.size(source.summary, 0), width)
    mapped = linear(draw, _map(module, key), _vector(draw, module, source, layer, name))
    assert isinstance(module.function, nn.Module)
    found: Value = write(draw, module.function, mapped)
    return found


def _map(module: bridge.Mapped, key: str) -> nn.Linear:
    found = module.maps[key]
    assert isinstance(found, nn.Linear)
    return found


def _vector(draw: Drawing, module: bridge.Mapped, source: Source, layer: int, name: str) -> Value:
    """What a matrix reads: the mean output, or the encoder's state as far from the top."""
    if isinstance(module.reads, bridge.MeanOutput):
        assert source.outputs is not None
        assert source.lengths is not None
        return mean(draw, source.outputs, source.lengths)
    column = source.states.get(name) or next(iter(source.states.values()))
    return column[max(0, len(column) - (module.target.layers - layer))]
