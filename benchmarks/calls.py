"""The cost of a call itself, beside the peers of `recurra bench`: one row, few units, whole layer calls.

python benchmarks/calls.py                         LSTM, GRU and RNN, inference and training, every installed peer
python benchmarks/calls.py --cells lstm --peers torch --seconds 2
python benchmarks/calls.py --fastest               recurra alone, the fastest of many calls; one torch.no_grad() for all

A call of T steps takes a + b T. Everybody is measured in turn at T = 1 and at T = 100, medians of CPU time of one
thread: b is a step, and a, what a call of no steps would take, is the cost of the call: Python, autograd, packing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from recurra import bench
from recurra.bench.row import Row
from recurra.cli.failures import DONE, guarded
from recurra.nn import Recurrent

SHORT, LONG, UNITS = 1, 100, 64


def main() -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=lambda s: s.split(","), default=["lstm", "gru", "rnn"])
    parser.add_argument("--modes", type=lambda s: s.split(","), default=["infer", "train"])
    parser.add_argument("--peers", type=lambda s: s.split(","), default=None)
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring each size (default: 1)")
    parser.add_argument("--fastest", action="store_true", help="recurra alone, the fastest of many calls")
    options = parser.parse_args()
    return guarded(lambda: (fastest if options.fastest else run)(options), debug=False)


def fastest(options: argparse.Namespace) -> int:
    """Recurra's own calls of one step and of 100, where other programs disturb a median too much."""
    torch.set_num_threads(1)
    print("us of CPU, the fastest samples: a call of 100 steps, of 1 step, and the call itself; 1 row, 64 units")
    for mode in options.modes:
        for cell in options.cells:
            short, long = (
                fastest_call(cell, T, trains=mode == "train", seconds=options.seconds) for T in (SHORT, LONG)
            )
            print(f"{mode} {cell:6}" + "".join(f"{t:10.1f}" for t in times(1e3 * short, 1e3 * long)))
    if "train" in options.modes:
        print(f"train nothing: {1e6 * fastest_nothing(options.seconds):.1f}, autograd for a function without work")
    return DONE


class Nothing(torch.autograd.Function):
    """A function of a layer's five tensors whose result and gradients are there before it is called."""

    @staticmethod
    def forward(ctx: Any, output: torch.Tensor, *leaves: torch.Tensor) -> torch.Tensor:
        ctx.gradients = leaves
        return output.detach()

    @staticmethod
    def backward(ctx: Any, *d: torch.Tensor) -> Any:
        return None, *ctx.gradients


def fastest_nothing(seconds: float) -> float:
    """Seconds of a training step of `Nothing`: what torch takes between a layer and the engine."""
    layer, output, d = Recurrent(UNITS, UNITS, cell="rnn"), torch.randn(1, 1, UNITS), torch.randn(1, 1, UNITS)
    leaves = [torch.randn(1, 1, UNITS).requires_grad_(), *layer.parameters()]
    return fastest_of(lambda: torch.autograd.grad(Nothing.apply(output, *leaves), leaves, d), seconds)


def fastest_call(cell: str, T: int, *, trains: bool, seconds: float) -> float:
    """Seconds of a call, the least of samples of ten calls."""
    layer = Recurrent(UNITS, UNITS, cell=cell)
    x, d = (torch.randn(T, 1, UNITS, dtype=torch.float32) for _ in range(2))
    leaves = [x.requires_grad_(trains), *layer.parameters()]

    def call() -> None:
        output = layer(x)[0]
        if trains:
            torch.autograd.grad(output, leaves, d)

    with torch.set_grad_enabled(trains):
        return fastest_of(call, seconds)


def fastest_of(call: Callable[[], object], seconds: float) -> float:
    """Seconds of a call, the least of samples of ten."""
    call()  # the first one starts autograd
    best, end = float("inf"), time.thread_time() + seconds
    while time.thread_time() < end:
        begin = time.thread_time()
        for _ in range(10):
            call()
        best = min(best, (time.thread_time() - begin) / 10)
    return best


def run(options: argparse.Namespace) -> int:
    """Measure everybody at both sizes, a cell and mode after the other."""
    peers = bench.choose_peers(options.peers)
    grid = [f"{T}x1x{UNITS}x{UNITS}" for T in (SHORT, LONG)]
    chosen = bench.choose(modes=options.modes, cells=options.cells, grid=grid)
    with bench.opened(
        peers, threads=1, seconds=options.seconds, note=lambda text: print(text, file=sys.stderr)
    ) as opened:
        print(f"{bench.this_machine(peers, 1).line()}\n")
        print(f"us of CPU: a call of {LONG} steps, of {SHORT} step, and the call itself; 1 row, {UNITS} units")
        for short, long in zip(chosen[::2], chosen[1::2], strict=True):
            show(opened.row(short), opened.row(long))
    return DONE


def complain(text: str) -> None:
    """Say which peer failed."""
    print(text, file=sys.stderr)


def show(short: Row, long: Row) -> None:
    """A line for each participant, with how many times recurra's time it takes."""
    print(f"\n{short.configuration.mode} {short.configuration.cell}")
    ours = times(short.value, long.value)
    print(f"  {'recurra':12}" + "".join(f"{t:10.1f}       " for t in ours))
    for name in short.peers.keys() & long.peers.keys():
        theirs = times(short.peers[name], long.peers[name])
        print(f"  {name:12}" + "".join(f"{t:10.1f} {t / o:5.2f}x" for t, o in zip(theirs, ours, strict=True)))
    sys.stdout.flush()


def times(short: float, long: float) -> tuple[float, float, float]:
    """Microseconds of the long call, of the short one, and of the call itself; from milliseconds."""
    step = (long - short) / (LONG - SHORT)
    return 1e3 * long, 1e3 * short, 1e3 * (short - step * SHORT)


if __name__ == "__main__":
    sys.exit(main())
