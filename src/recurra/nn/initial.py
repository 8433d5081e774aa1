"""Named ways to initialise a recurrent layer's parameters, in place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.base.registry import Registry
from recurra.cells import Cell
from recurra.lower import Parameter

# (parameter, its description, hidden size)
Initializer = Callable[[Iterable[tuple[Parameter, Tensor]], int], None]

INITIALIZERS: Registry[Initializer] = Registry("initialisation")


def uniform(parameters: Iterable[tuple[Parameter, Tensor]], H: int) -> None:
    """U(-1/sqrt(H), 1/sqrt(H)) for everything, gains at one: torch's rule, with torch's draws for the same seed."""
    bound = 1 / math.sqrt(H)
    for description, tensor in parameters:
        if description.kind == "gain":
            torch.nn.init.ones_(tensor)
        elif not tensor.is_meta:  # torch would work out in Python what drawing nothing gives
            torch.nn.init.uniform_(tensor, -bound, bound)


def orthogonal(parameters: Iterable[tuple[Parameter, Tensor]], H: int) -> None:
    """Recurrent blocks orthogonal, so a linear step keeps the length of h; input blocks Glorot uniform; biases zero.

    Source: Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; Glorot & Bengio 2010, eq. 16.
    """
    for description, tensor in parameters:
        for block in tensor.chunk(len(description.gates)):
            match description.kind:
                case "R":
                    torch.nn.init.orthogonal_(block)
                case "W" | "P":
                    torch.nn.init.xavier_uniform_(block)
                case "gain":
                    torch.nn.init.ones_(block)
                case "v":
                    torch.nn.init.uniform_(block, -1 / math.sqrt(H), 1 / math.sqrt(H))
                case _:
                    torch.nn.init.zeros_(block)


def identity(parameters: Iterable[tuple[Parameter, Tensor]], H: int) -> None:
    """Recurrent blocks the identity, so a ReLU that is on hands its state on unchanged; biases zero; input blocks
    N(0, 0.001^2).

    Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941, sections 3 and 4.
    """
    for description, tensor in parameters:
        for block in tensor.chunk(len(description.gates)):
            match description.kind:
                case "R" | "P":
                    torch.nn.init.eye_(block)
                case "W":
                    torch.nn.init.normal_(block, std=0.001)
                case "gain" | "v":
                    torch.nn.init.ones_(block)
                case _:
                    torch.nn.init.zeros_(block)


INITIALIZERS.add("torch", uniform)
INITIALIZERS.add("orthogonal", orthogonal)
INITIALIZERS.add("identity", identity)


def set_forget_bias(cell: Cell, parameters: Iterable[tuple[Parameter, Tensor]], value: float) -> None:
    """Make the forget gate's total bias `value` (Jozefowicz, Zaremba & Sutskever 2015 recommend 1).

    Raises ConfigError if the cell has no bias on a gate named f.
    """
    biases = [(d, t) for d, t in parameters if d.kind in ("b", "b_R") and "f" in d.gates]
    if not biases:
        raise ConfigError(f"forget_bias: cell '{cell.name}' has no forget gate f with a bias; leave the option out.")
    for description, tensor in biases:
        block = tensor.chunk(len(description.gates))[description.gates.index("f")]
        torch.nn.init.constant_(block, value if description.kind == "b" else 0.0)
