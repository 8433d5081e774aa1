"""The native engine's functions at every float there is: errors in units in the last place (ULP), beside torch's.

    python benchmarks/accuracy.py                          all 2^32 floats, five functions: half an hour of one core
    python benchmarks/accuracy.py --stride 101             one in so many
    python benchmarks/accuracy.py --stride 101 --dense     all from 2^-15 to 2^7 of both signs, where the errors are
    RECURRA_ISA=portable python benchmarks/accuracy.py     only this instruction set

A unit is the spacing of floats at the exact result, which NumPy gives in float64. Where the exact result is rounded
to 0, 1 or infinity, the function must give that itself. slope: the largest error of 1 - y y for |x| >= 2, from
y = tanh x. The exit code is 1 if an error is above 2 units or a saturated result is another.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.engine import cpu

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
BOUND = 2.0
END = 0x7F800001  # behind infinity, as bits
DENSE = (0x38000000, 0x43000000)  # 2^-15 and 2^7, as bits
CHUNK = 1 << 16  # what a step makes stays in the second cache: half the time of a million at once


def sigmoid(a: Doubles) -> Doubles:
    e = np.exp(-np.abs(a))
    made: Doubles = np.where(a >= 0, 1.0, e) / (1 + e)
    return made


def log_sigmoid(a: Doubles) -> Doubles:
    made: Doubles = np.minimum(a, 0) - np.log1p(np.exp(-np.abs(a)))
    return made


EXACT: dict[str, Callable[[Doubles], Doubles]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "exp": np.exp,
    "log": np.log,
    "log_sigmoid": log_sigmoid,
}
TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "log": torch.log,
    "log_sigmoid": torch.nn.functional.logsigmoid,
}


class Exact:
    """The exact results of some floats, and what all executors are measured by.

    fixed: where the rounded result is 0, 1 or infinity (or NaN), which must be given itself; per_unit: one over the
    spacing of floats at the result, 0 where the result is no finite float
    """

    def __init__(self, function: str, a: Floats) -> None:
        with np.errstate(all="ignore"):
            self.values = EXACT[function](a.astype(np.float64))
            self.rounded = self.values.astype(np.float32)
            # Below the normal range floats are as far apart as at its end.
            size = np.maximum(np.abs(self.rounded), np.float32(2.0**-126))
            finite = np.isfinite(size)
            self.per_unit = np.where(finite, 1 / np.spacing(size).astype(np.float64), 0.0)
        self.fixed = ~finite | (size == 1) | (self.rounded == 0)
        self.values[~finite] = 0.0


@dataclass(slots=True)
class Worst:
    """ulps: the largest error, at the float `at`; unlike: results that are not the rounded 0, 1 or infinity, from
    first_unlike on; slope: of tanh."""

    ulps: float = 0.0
    at: float = 0.0
    unlike: int = 0
    first_unlike: float = 0.0
    slope: float = 0.0

    def add(self, a: Floats, got: Floats, exact: Exact) -> None:
        """The results of some floats, none of them NaN."""
        self._count_unlike(a, got, exact)
        with np.errstate(all="ignore"):
            error = np.abs(got - exact.values) * exact.per_unit
        worst = float(error.max(initial=0.0))
        if not np.isfinite(worst):  # an infinity or NaN: right where it is fixed, else as wrong as can be
            error = np.where(np.isfinite(error), error, np.where(exact.per_unit > 0, np.inf, 0.0))
            worst = float(error.max())
        if worst > self.ulps:
            self.ulps, self.at = worst, float(a[error.argmax()])

    def _count_unlike(self, a: Floats, got: Floats, exact: Exact) -> None:
        if not exact.fixed.any():
            return
        other = exact.fixed & ~((got == exact.rounded) | (np.isnan(got) & np.isnan(exact.rounded)))
        if other.any():
            self.first_unlike = self.first_unlike or float(a[other][0])
            self.unlike += int(other.sum())

    def add_slope(self, a: Floats, got: Floats, exact: Exact) -> None:
        far = np.abs(a) >= 2
        if far.any():
            off = np.abs(got[far].astype(np.float64) ** 2 - exact.values[far] ** 2)
            self.slope = max(self.slope, float(off.max()))


def apply(isa: str, function: str, a: Floats) -> Floats:
    """A function of the engine, on this instruction set or in torch."""
    a = np.ascontiguousarray(a, np.float32)
    if isa == "torch":
        made: Floats = TORCH[function](torch.from_numpy(a)).numpy()
        return made
    out = np.empty_like(a)
    cpu._native.unit_wise(isa, function, a.ctypes.data, out.ctypes.data, a.size)
    return out


def worst(function: str, isa: str, a: Floats) -> Worst:
    """Of these floats."""
    found = Worst()
    for first in range(0, a.size, CHUNK):
        part = a[first : first + CHUNK]
        found.add(part, apply(isa, function, part), Exact(function, part))
    return found


def chunks(stride: int, dense: bool = False) -> Iterator[Floats]:
    """All floats of both signs but NaN, every `stride`-th, CHUNK at a time; dense: every one of DENSE."""
    ranges = [(0, DENSE[0], stride), (*DENSE, 1), (DENSE[1], END, stride)] if dense else [(0, END, stride)]
    for sign in (0, 0x80000000):
        for begin, end, step in ranges:
            for first in range(begin, end, CHUNK * step):
                bits = np.arange(first, min(first + CHUNK * step, end), step, dtype=np.uint32)
                yield (bits | np.uint32(sign)).view(np.float32)


def main(words: list[str] | None = None) -> int:
    """Ask, and print a table. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1, help="one float in so many (default: 1, all)")
    parser.add_argument("--dense", action="store_true", help="all of 2^-15 to 2^7, whatever the stride")
    asked = parser.parse_args(words)
    isas = [os.environ["RECURRA_ISA"]] if "RECURRA_ISA" in os.environ else list(cpu.instruction_sets())
    bad = False
    print("| function | of | largest error, ULP | at | wrong in saturation | slope |\n|---|---|---|---|---|---|")
    for function in EXACT:
        found = {isa: Worst() for isa in (*isas, "torch")}
        for a in chunks(asked.stride, asked.dense):
            exact = Exact(function, a)
            for isa, one in found.items():
                got = apply(isa, function, a)
                one.add(a, got, exact)
                if function == "tanh":
                    one.add_slope(a, got, exact)
        for isa, one in found.items():
            slope = f"{one.slope:.2e}" if function == "tanh" else ""
            print(f"| {function} | {isa} | {one.ulps:.3f} | {one.at!r} | {one.unlike} | {slope} |", flush=True)
            bad |= isa != "torch" and (one.ulps > BOUND or one.unlike > 0)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
