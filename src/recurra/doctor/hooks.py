"""Watch all recurrent layers of a model while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from torch import nn

from recurra.engine.step_recording import Recording
from recurra.nn import Recurrent

DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True, slots=True)
class Seen:
    """The steps of one layer in one direction. name: `encoder.recurrent 2, backward`, as short as the model allows.

    module: the layers' name in the model      layer: counted from 1
    """

    name: str
    module: str
    layer: int
    direction: str
    trail: Recording


@contextmanager
def watching(model: nn.Module) -> Iterator[list[Seen]]:
    """Inside the block every recurrent layer of `model` runs step by step, and the list gets what was seen.

    Outputs are those of the reference executor. Afterwards the model is as it was.
    """
    seen: list[Seen] = []
    layers = {name: module for name, module in model.named_modules() if isinstance(module, Recurrent)}
    before = {name: layer.watch for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            layer.watch = partial(_note, seen, name, layer)
        yield seen
    finally:
        for name, layer in layers.items():
            layer.watch = before[name]


def _note(seen: list[Seen], module: str, layers: Recurrent, layer: int, direction: int, trail: Recording) -> None:
    number = f" {layer + 1}" if layers.num_layers > 1 else ""
    way = f", {DIRECTIONS[direction]}" if layers.bidirectional else ""
    seen.append(Seen(f"{module or 'layer'}{number}{way}", module, layer + 1, DIRECTIONS[direction], trail))
