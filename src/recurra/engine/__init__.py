"""How a cell runs over time. One executor is chosen per call; "auto" takes the first of the list that can do it.

call        what a layer asks, and what it gets; the mask of real steps
weights     packed parameters, seen by gate
compact     the same with matrices of bfloat16 or int8, products of bfloat16
reference   the cell's own equations with tensors: always there, on any device, in any type; the specification
step_recording  the same, for who wants to see every value of every step
cpu         the fused native engine, forward and backward, for float32 on the CPU
straight    the same for one layer from zeros without gradients, with as few questions as can be
operator    the same as an operator of torch, for torch.compile, torch.export and torch.jit.trace
stepper     one step after another, with weights packed once: streaming and decoding
kept_plan   packed weights of a search, kept for the next one
user_cell   a user's own cell, compiled at first use
linear      linear layers on the same tiles, alone and with cross-entropy
ctc         connectionist temporal classification: nats and gradient; transducer  the same of RNN-T, joint inside
words       word vectors from a text      glove   the same from counts of pairs      teams   how many threads do it
memory      tensors as the native engine takes them, and as autograd gives them back
double_backward  gradients that cannot be differentiated again
fused       torch's own layers (cuDNN, oneDNN), for the cells they know, with lengths and without packing
tape        back-propagation through time by the derived gradient graph: the specification of a kernel's backward
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch._compile import _disable_dynamo

from recurra.base.errors import ConfigError
from recurra.base.registry import Registry
from recurra.engine import cpu, fused, gpu, operator, reference
from recurra.engine.call import (
    Call,
    Result,
    Zoneout,
    masked,
    nothing_padded,
    recording,
    reverse_sequences,
    sequence_mask,
    without_padding,
)
from recurra.engine.compact import Compact
from recurra.engine.stepper import Stepper
from recurra.engine.weights import Weights


@dataclass(frozen=True, slots=True)
class Backend:
    """An executor. doc: one line; run: independent calls; refusal: why it cannot do a call, or None if it can."""

    doc: str
    run: Callable[[Sequence[Call]], list[Result]]
    refusal: Callable[[Call], str | None]


def _one_by_one(run: Callable[[Call], Result]) -> Callable[[Sequence[Call]], list[Result]]:
    return lambda calls: [run(call) for call in calls]


# In the order in which "auto" asks; the last one takes everything.
BACKENDS: Registry[Backend] = Registry("backend")
BACKENDS.add("cpu", Backend("the native engine: a kernel made from the cell's equations", cpu.run, cpu.refusal))
BACKENDS.add(
    "torch",
    Backend("torch's own fused layers: cuDNN on a GPU, oneDNN on a CPU", _one_by_one(fused.run), fused.refusal),
)
BACKENDS.add(
    "triton",
    Backend("Triton kernels made from the cell's equations, on a GPU", _one_by_one(gpu.run), gpu.refusal),
)
BACKENDS.add(
    "reference", Backend("the cell's own equations, step by step", _one_by_one(reference.run), lambda call: None)
)


def run(call: Call, *, backend: str = "auto") -> Result:
    """Run one layer in one direction with the chosen executor; "auto" takes the fastest that can do this call.

    Raises ConfigError if the backend is unknown, or cannot do this call.
    """
    return run_many([call], backend=backend)[0]


def run_many(calls: Sequence[Call], *, backend: str = "auto") -> list[Result]:
    """Run calls that do not wait for one another, such as the directions of a layer; like `run` for each of them.

    Raises ConfigError if the backend is unknown, or cannot do one of the calls.
    """
    names = [choose(call) if backend == "auto" else backend for call in calls]
    for name, call in zip(names, calls, strict=True):
        if backend != "auto" and (reason := BACKENDS[name].refusal(call)):
            raise ConfigError(f"backend '{backend}': {reason}; use backend='auto' or 'reference'.")
    if len(set(names)) == 1:
        return BACKENDS[names[0]].run(calls)
    return [BACKENDS[name].run([call])[0] for name, call in zip(names, calls, strict=True)]


def record(calls: Sequence[Call], *, backend: str = "auto", operated: bool) -> list[Result]:
    """`run_many` for who records what is called (see `recording`): one operator a call, or else a break in the graph.

    operated: whether the operator has the calls' cell (`operator.has_operator`)

    Raises ConfigError as `run_many` does.
    """
    if operated and all(operator.fits(call, backend) for call in calls):
        return [operator.run(call) for call in calls]
    found: list[Result] = _apart(calls, backend)
    return found


# The public torch.compiler.disable imports torch._dynamo at once, 2 s of CPU for who compiles nothing.
@_disable_dynamo
def _apart(calls: Sequence[Call], backend: str) -> list[Result]:
    return run_many(calls, backend=backend)


def choose(call: Call) -> str:
    """The word of the executor that "auto" takes for this call."""
    # Asked first, and without the registry, since nearly all calls end here: a tenth of a short one.
    if cpu.refusal(call) is None:
        return "cpu"
    return next(
        name for name, backend in BACKENDS.items() if backend.refusal(call) is None and not _only_by_name(name, call)
    )


def _only_by_name(name: str, call: Call) -> bool:
    """Whether "auto" does not take an executor that could do a call: an interpreter is there to check kernels."""
    return name == "triton" and call.x.is_cpu


__all__ = [
    "BACKENDS",
    "Backend",
    "Call",
    "Compact",
    "Result",
    "Stepper",
    "Weights",
    "Zoneout",
    "choose",
    "masked",
    "nothing_padded",
    "record",
    "recording",
    "reverse_sequences",
    "run",
    "run_many",
    "sequence_mask",
    "without_padding",
]
