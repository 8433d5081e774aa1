"""How a cell runs over time. One executor is chosen per call, and `explain_choice` says which and why.

call        what a layer asks, and what it gets
weights     packed parameters, seen by gate
reference   the cell's own equations with tensors: always there, on any device, in any type; the specification
cpu         the fused native engine, forward and backward, for float32 on the CPU
user_cell   a user's own cell, compiled at first use
tape        back-propagation through time by the derived gradient graph: the specification of a kernel's backward
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch

from recurra.base.registry import Registry
from recurra.engine import cpu, reference
from recurra.engine.call import Call, Result, Zoneout
from recurra.engine.weights import Weights

BACKENDS: Registry[Callable[[Call], Result]] = Registry("backend")
BACKENDS.add("reference", reference.run)
BACKENDS.add("cpu", cpu.run)


def run(call: Call, *, backend: str = "auto") -> Result:
    """Run one layer in one direction with the chosen executor; "auto" takes the fastest that can do this call.

    Raises ConfigError if the backend is unknown.
    """
    return BACKENDS[choose(call) if backend == "auto" else backend](call)


def choose(call: Call) -> str:
    """The word of the executor that "auto" takes for this call."""
    reason = cpu.why_not(call)
    if reason is None:
        return "cpu"
    if call.x.device.type == "cpu" and call.x.dtype == torch.float32 and call.x.numel():
        _say_once(f"cell '{call.cell.name}' runs on the reference executor, which is slower: {reason}")
    return "reference"


@cache
def _say_once(sentence: str) -> None:
    logging.getLogger("recurra").warning(sentence)


__all__ = ["BACKENDS", "Call", "Result", "Weights", "Zoneout", "choose", "run"]
