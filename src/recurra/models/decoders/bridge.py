"""From the encoder to the decoder's first states. Each is a named choice, made for the sizes at both ends.

zeros   the decoder starts with nothing; what it knows of the source comes by attention or a fed context
last    the encoder's final states themselves: both ends must be alike
linear  one matrix for each layer and state          tanh  the same under tanh (Bahdanau et al. 2015, A.2.2)
mean    tanh of one matrix on the mean of the encoder's outputs (Sennrich et al. 2017, arXiv:1703.04357)

linear, tanh: layers are counted from the top; a decoder that is deeper reads the lowest encoder layer more than once.
They and mean make h and c; further states start at zero, and so does c where it is one memory with others (an sLSTM's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.registry import Registry
from recurra.engine import sequence_mask
from recurra.models.contract import Encoded, Ends, layer_state
from recurra.nn import SteadyLinear

States = tuple[tuple[Tensor, ...], ...]
NO_STATES = "bridge: {does} the encoder's final states, and it keeps none; set mean or zeros."


class Zeros(nn.Module):
    """Zeros for every state."""

    def __init__(self, source: Ends, target: Ends) -> None:
        super().__init__()
        self.target = target

    def forward(self, encoded: Encoded) -> States:
        return _each(self.target, lambda layer, name, width: _zeros(encoded, width))


class Last(nn.Module):
    """The encoder's final states. Raises ConfigError unless layers, states and their widths agree."""

    def __init__(self, source: Ends, target: Ends) -> None:
        super().__init__()
        self.target = target
        each = [[dict(end.widths(k)) for k in range(end.layers)] for end in (source, target)]
        if not source.states:
            raise ConfigError(NO_STATES.format(does="last copies"))
        if each[0] != each[1]:
            raise ConfigError(
                f"bridge: last copies states, and the encoder ends with {_described(source)} where the decoder starts "
                f"with {_described(target)}; use linear, or make both alike (two directions are side by side)."
            )

    def forward(self, encoded: Encoded) -> States:
        return _each(self.target, lambda layer, name, width: layer_state(encoded.states, name, layer))


class Mapped(nn.Module):
    """A matrix for each layer and state, and a function. reads: of which vector, and how wide it is."""

    def __init__(self, target: Ends, reads: Reads, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.target, self.reads, self.function = target, reads, function
        self.maps = nn.ModuleDict(
            {
                f"{name}_l{layer}": SteadyLinear(reads.width(target.layers - layer, name), width)
                for layer in range(target.layers)
                for name, width in _bridged(target).items()
            }
        )

    def forward(self, encoded: Encoded) -> States:
        def one(layer: int, name: str, width: int) -> Tensor:
            if name not in _bridged(self.target):
                return _zeros(encoded, width)
            vector = self.reads.vector(encoded, self.target.layers - layer, name)
            return self.function(self.maps[f"{name}_l{layer}"](vector))

        return _each(self.target, one)


class Reads(Protocol):
    """A vector of the encoded source for a state of a decoder's layer, counted from the top, from 1."""

    def width(self, from_top: int, name: str) -> int: ...
    def vector(self, encoded: Encoded, from_top: int, name: str) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class FinalStates:
    """The encoder's final state of the same name, or its first one, in the layer as far from the top."""

    source: Ends

    def width(self, from_top: int, name: str) -> int:
        return self.source.widths(self._layer(from_top))[self._known(name)]

    def vector(self, encoded: Encoded, from_top: int, name: str) -> Tensor:
        return layer_state(encoded.states, self._known(name), self._layer(from_top))

    def _layer(self, from_top: int) -> int:
        return max(0, self.source.layers - from_top)

    def _known(self, name: str) -> str:
        return name if name in self.source.states else next(iter(self.source.states))


@dataclass(frozen=True, slots=True)
class MeanOutput:
    """The mean of the encoder's outputs over real positions, zero for an empty source."""

    source: Ends

    def width(self, from_top: int, name: str) -> int:
        return self.source.output

    def vector(self, encoded: Encoded, from_top: int, name: str) -> Tensor:
        real = sequence_mask(encoded.lengths, len(encoded.outputs)).unsqueeze(2)
        some = torch.where(real, encoded.outputs, encoded.outputs.new_zeros(()))
        # Step after step: the order of torch's sum depends on how many steps are padded.
        total = some.cumsum(0)[-1] if len(some) else some.sum(0)
        return total / encoded.lengths.clamp(min=1).unsqueeze(1)


def linear(source: Ends, target: Ends) -> Mapped:
    """One matrix for each layer and state."""
    return Mapped(target, _final_states(source, "linear"), nn.Identity())


def tanh(source: Ends, target: Ends) -> Mapped:
    """One matrix for each layer and state, under tanh."""
    return Mapped(target, _final_states(source, "tanh"), nn.Tanh())


def _final_states(source: Ends, word: str) -> FinalStates:
    if not source.states:
        raise ConfigError(NO_STATES.format(does=f"{word} maps"))
    return FinalStates(source)


def mean(source: Ends, target: Ends) -> Mapped:
    """A matrix on the mean output, under tanh."""
    return Mapped(target, MeanOutput(source), nn.Tanh())


# (what the encoder ends with, what the decoder starts with) -> a module from Encoded to states, layer by layer
BRIDGES: Registry[Callable[[Ends, Ends], nn.Module]] = Registry("bridge")
BRIDGES.add("zeros", Zeros)
BRIDGES.add("last", Last)
BRIDGES.add("linear", linear)
BRIDGES.add("tanh", tanh)
BRIDGES.add("mean", mean)


def _each(target: Ends, one: Callable[[int, str, int], Tensor]) -> States:
    return tuple(tuple(one(k, name, width) for name, width in target.states.items()) for k in range(target.layers))


def _bridged(target: Ends) -> dict[str, int]:
    """The first state, and a memory called c, unless its normaliser and it mean something only together."""
    wanted = {next(iter(target.states)), "c"} - set(target.together)
    return {name: width for name, width in target.states.items() if name in wanted}


def _zeros(encoded: Encoded, width: int) -> Tensor:
    return encoded.summary.new_zeros(len(encoded.summary), width)


def _described(sizes: Ends) -> str:
    def states(widths: Mapping[str, int]) -> str:
        return "(" + ", ".join(f"{name} of {width}" for name, width in widths.items()) + ")"

    if sizes.top is None or dict(sizes.top) == dict(sizes.states):
        return f"{sizes.layers} x {states(sizes.states)}"
    return f"{sizes.layers - 1} x {states(sizes.states)} and {states(sizes.top)}"
