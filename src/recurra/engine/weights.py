"""The parameters of one layer and direction, by gate: packed tensors in, views out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from recurra.cells import Cell
from recurra.engine.compact import Compact, Opened
from recurra.lower import layout, trace


@dataclass(frozen=True, slots=True)
class Weights:
    """Packed tensors by parameter name (`lower.layout`), of one cell.

    kept: where the native engine keeps what it makes of them, for the next call (`cpu.kept`); None for nowhere
    compact: the same with matrices of fewer bits, which `packed` stands for; None for none
    gate(kind, name) is the block that the equations mean by p.W("i", ...), p.b("i"), ...
    """

    cell: Cell
    packed: Mapping[str, torch.Tensor]
    kept: Any = None
    compact: Compact | None = None

    @classmethod
    def of(cls, cell: Cell, compact: Compact, kept: Any = None) -> Weights:
        """Of matrices of fewer bits."""
        return cls(cell, Opened(compact), kept, compact)

    def argument(self, x: torch.Tensor) -> torch.Tensor:
        """x as the matrices multiply it: rounded to bfloat16 where that is asked for."""
        if self.compact is None or not self.compact.rounds_arguments:
            return x
        rounded = x.bfloat16().to(x.dtype)
        if not x.requires_grad:
            return rounded
        # The same numbers, whose gradient is not rounded: what is lost has few bits, so it is exact, and so is the sum.
        return x + torch.where(rounded == x, torch.zeros_like(x), rounded - x).detach()

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What is in memory."""
        return tuple(self.packed.values()) if self.compact is None else self.compact.tensors

    @property
    def shapes(self) -> tuple[tuple[str, torch.Size], ...]:
        """Of the packed tensors, by name."""
        stored = self.packed if self.compact is None else self.compact.stored
        return tuple([(name, t.shape) for name, t in stored.items()])

    def by_kind(self) -> dict[str, dict[str, torch.Tensor]]:
        """Views by kind ("W", "R", "P", "b", "b_R", "v", "gain") and gate. bias_ih and bias_hh are added where both
        belong to one bias of the equations; kinds without bias are absent."""
        found: dict[str, dict[str, torch.Tensor]] = {}
        for parameter in layout(self.cell, bias="bias_ih" in self.packed):
            blocks = self.packed[parameter.name].chunk(len(parameter.gates))
            found[parameter.kind] = dict(zip(parameter.gates, blocks, strict=True))
        own_second = {n.name for n in trace(self.cell).nodes if n.kind == "b_R"}
        for gate, second in list(found.get("b_R", {}).items()):
            if gate not in own_second:
                found["b"][gate] = found["b"][gate] + second
                del found["b_R"][gate]
        return found
