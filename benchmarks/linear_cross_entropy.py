"""A language model's output layer and loss beside torch's, interleaved: `python benchmarks/linear_cross_entropy.py`.

One training step: nats of M rows over a vocabulary of V from D features, and the gradients of x, W and b. For each:
milliseconds (median), GFLOP/s of the three products that a step needs, share of the FMA peak measured between the
runs, and peak memory in a fresh process. With one thread the clock counts CPU time, with more wall time.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.engine import cpu
from recurra.nn import linear_cross_entropy

GRID = ((400, 200, 10000), (700, 650, 33278))
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def torch_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(x, weight, bias), targets, reduction="none")


LOSSES: dict[str, Loss] = {"recurra": linear_cross_entropy, "torch": torch_cross_entropy}


def main() -> None:
    """Print a few lines a size, or a JSON list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring a size")
    parser.add_argument("--sizes", default=";".join(",".join(map(str, s)) for s in GRID), help="M,D,V;M,D,V;...")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory-of", choices=LOSSES, help="print bytes of one step, of the first size alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    grid = [tuple(map(int, size.split(","))) for size in options.sizes.split(";")]
    if options.memory_of:
        print(peak_memory(LOSSES[options.memory_of], grid[0]))
        return
    rows = []
    for sizes in grid:
        rows.append(measure(sizes, options))
        if not options.json:
            print(lines(rows[-1]), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


def measure(sizes: tuple[int, ...], options: argparse.Namespace) -> dict[str, object]:
    """Times and memory of one size."""
    M, D, V = sizes
    works = {name: step(loss, sizes) for name, loss in LOSSES.items()}
    times, peaks = interleave(works, options)
    operations, peak = 6 * M * D * V, statistics.median(peaks) * options.threads
    row: dict[str, object] = {"M, D, V": sizes, "threads": options.threads, "peak GFLOP/s": peak / 1e9}
    for name, seconds in times.items():
        median = statistics.median(seconds)
        row[name] = {
            "milliseconds": median * 1e3,
            "GFLOP/s": operations / median / 1e9,
            "share of peak": operations / median / peak,
            "peak memory, MB": memory(name, sizes, options.threads) / 1e6,
        }
    row["gradients, MB"] = 4 * (M * D + V * D + V) / 1e6
    row["times as fast as torch"] = statistics.median(times["torch"]) / statistics.median(times["recurra"])
    return row


def step(loss: Loss, sizes: tuple[int, ...]) -> Callable[[], object]:
    """One training step with fixed tensors."""
    M, D, V = sizes
    torch.manual_seed(0)
    targets = torch.randint(V, (M,))
    leaves = [torch.randn(M, D), torch.randn(V, D).mul_(D**-0.5), torch.zeros(V)]
    leaves = [t.requires_grad_() for t in leaves]
    return lambda: torch.autograd.grad(loss(*leaves, targets).mean(), leaves)


def interleave(
    works: dict[str, Callable[[], object]], options: argparse.Namespace
) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each work in turn, and the peak (operations a second of one core) between them."""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in works}
    peaks: list[float] = []
    for work in works.values():
        work()
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end or len(peaks) < 3:
        for name, work in works.items():
            begin = clock()
            operations = cpu.fma_rounds(200_000)
            peaks.append(operations / (clock() - begin))
            begin = clock()
            work()
            times[name].append(clock() - begin)
    return times, peaks


def memory(name: str, sizes: tuple[int, ...], threads: int) -> int:
    """Bytes that one step of `name` adds at its peak, the gradients included, in a process of its own."""
    size = ",".join(map(str, sizes))
    command = [sys.executable, __file__, "--memory-of", name, "--sizes", size, "--threads", str(threads)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_memory(loss: Loss, sizes: tuple[int, ...]) -> int:
    """Growth of the largest resident size (VmHWM, Linux) during one step; a tiny one before loads the code."""
    step(loss, (4, 4, 4))()
    work = step(loss, sizes)
    before = highest_resident()
    work()
    return highest_resident() - before


def highest_resident() -> int:
    # Not getrusage: its maximum is inherited from the parent process.
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s*(\d+) kB", text)[1]) * 1024


def lines(row: dict[str, object]) -> str:
    size, gradients = row["M, D, V"], row["gradients, MB"]
    made = [f"{size} {row['threads']}t, peak {row['peak GFLOP/s']:.0f} GFLOP/s, {gradients:.0f} MB of gradients"]
    for name in LOSSES:
        r = row[name]
        made.append(
            f"  {name:8}{r['milliseconds']:9.1f} ms {r['GFLOP/s']:6.1f} GFLOP/s {r['share of peak']:5.0%} of peak"
            f" {r['peak memory, MB']:7.1f} MB"
        )
    return "\n".join([*made, f"  {row['times as fast as torch']:.2f}x torch"])


if __name__ == "__main__":
    main()
