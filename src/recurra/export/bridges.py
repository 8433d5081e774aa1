"""From an encoded source to a decoder's first states, as ONNX nodes; as `recurra.models.decoders.bridge`."""

from __future__ import annotations

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.encoders import EncodedValues
from recurra.export.layers import linear, mean, write
from recurra.export.onnx_graph import Drawing, Value
from recurra.models.decoders import bridge


def first_states(draw: Drawing, module: nn.Module, source: EncodedValues) -> list[list[Value]]:
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
    source: EncodedValues,
    layer: int,
    name: str,
    width: int,
) -> Value:
    if isinstance(module, bridge.Last):
        return _layer(draw, source, name, layer)
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


def _vector(draw: Drawing, module: bridge.Mapped, source: EncodedValues, layer: int, name: str) -> Value:
    """What a matrix reads: the mean output, or the encoder's state as far from the top."""
    if isinstance(module.reads, bridge.MeanOutput):
        return mean(draw, source.outputs, source.lengths)
    reads = module.reads
    assert isinstance(reads, bridge.FinalStates)
    known = name if name in reads.source.states else next(iter(reads.source.states))
    return _layer(draw, source, known, max(0, reads.source.layers - (module.target.layers - layer)))


def _layer(draw: Drawing, source: EncodedValues, name: str, layer: int) -> Value:
    """A state of one layer, both directions side by side."""
    forward, backward = source.states[f"{name}_l{layer}"], source.states.get(f"{name}_l{layer}_reverse")
    return forward if backward is None else draw.join([forward, backward], 1)
