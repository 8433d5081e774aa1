"""Weights of bfloat16 and int8, and products of bfloat16, beside float32: one layer in inference, measured in turn.

python benchmarks/weights.py                         LSTM and GRU, one row and many
python benchmarks/weights.py --cells lstm --rounds 20

Milliseconds of CPU time of one thread, the fastest of all rounds, and how many times as long float32 takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import torch

from recurra.engine import cpu
from recurra.nn import Recurrent, quantize

# T, N, H; as many inputs as units.
SHAPES = ((100, 1, 64), (100, 1, 128), (100, 1, 256), (100, 1, 512), (20, 1, 1024), (50, 4, 512), (50, 32, 128),
          (100, 32, 256), (20, 64, 512))  # fmt: skip
PRECISIONS = ("bfloat16", "int8", "bfloat16_products")
SECONDS = 0.05


def main() -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=lambda s: s.split(","), default=["lstm", "gru"])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cpu.instruction_set()}; T, N, H: float32 ms, {', '.join(PRECISIONS)}")
    with torch.inference_mode():
        for cell in options.cells:
            for T, N, H in SHAPES:
                whole, *fewer = measured(cell, T, N, H, options.rounds)
                print(f"{cell} {T}, {N}, {H}: {1e3 * whole:.3f} " + " ".join(f"{whole / t:.2f}x" for t in fewer))
                sys.stdout.flush()
    return 0


def measured(cell: str, T: int, N: int, H: int, rounds: int) -> list[float]:
    """Seconds of a call by precision."""
    layer = Recurrent(H, H, cell=cell).eval()
    x = torch.randn(T, N, H)
    layers = [layer, *(quantize(layer, precision) for precision in PRECISIONS)]
    return fastest([lambda one=one: one(x) for one in layers], rounds)  # type: ignore[misc]


def fastest(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The fastest time of each, which take turns."""
    found, counts = [float("inf")] * len(calls), []
    for call in calls:
        call(), call()  # packs, and keeps what is packed
        counts.append(max(1, round(SECONDS / max(timed(call, 1), 1e-6))))
    for _ in range(rounds):
        for k, call in enumerate(calls):
            found[k] = min(found[k], timed(call, counts[k]))
    return found


def timed(call: Callable[[], object], count: int) -> float:
    """Seconds of CPU of a call."""
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count


if __name__ == "__main__":
    sys.exit(main())
