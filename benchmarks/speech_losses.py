"""CTC and RNN-T beside torch's, interleaved: `python benchmarks/speech_losses.py`.

Loss and gradient with respect to logits, the softmax included, at the sizes of a speech model. Of RNN-T torch has none:
it stands beside the same loss in plain torch, exact, frame by frame, with all (T, U + 1, N, V) logits. For each:
milliseconds (medians), times as fast as torch (the median of the ratios of runs that follow one another); of CTC how
far the gradient is from float64, of RNN-T the memory that a step adds. With one thread the clock counts CPU time, with
more wall time.
"""

from __future__ import annotations

import argparse
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

from recurra.engine.ctc import ctc_loss
from recurra.engine.transducer import transducer_loss
from recurra.losses import ctc as readable
from recurra.losses import transducer

# T frames, N rows, C units, U of them in each target.
CTC = ((500, 16, 32, 60), (1000, 16, 32, 100), (500, 16, 1000, 60), (2000, 4, 32, 200))
# N rows, T frames, U units in each target, V units; D numbers of a joint network, 0 for sums of logits.
RNN_T = ((16, 200, 40, 32, 0), (8, 200, 40, 256, 0), (16, 200, 40, 32, 128), (8, 200, 40, 256, 256))
Loss = Callable[..., Tensor]


def torch_ctc(logits: Tensor, lengths: Tensor, targets: Tensor, sizes: Tensor) -> Tensor:
    return F.ctc_loss(logits.log_softmax(2), targets, lengths, sizes, reduction="none")


TRANSDUCERS: dict[str, Loss] = {"recurra": transducer_loss, "torch": transducer.transducer_loss}


def main() -> None:
    """A line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory-of", choices=TRANSDUCERS, help="print bytes of one step of RNN-T alone")
    parser.add_argument("--sizes", help="N,T,U,V,D, with --memory-of")
    options = parser.parse_args()
    if options.memory_of:
        print(memory_of(options.memory_of, tuple(map(int, options.sizes.split(",")))))
        return
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for sizes in CTC:
        print(ctc_line(sizes, options.rounds, clock), flush=True)
    for sizes in RNN_T:
        print(transducer_line(sizes, options.rounds, clock), flush=True)


def ctc_line(sizes: tuple[int, ...], rounds: int, clock: Callable[[], float]) -> str:
    T, N, C, U = sizes
    torch.manual_seed(0)
    logits = torch.randn(T, N, C).requires_grad_()
    rows = torch.full((N,), T), torch.randint(1, C, (N, U)), torch.full((N,), U)
    right = gradient(readable.ctc_loss, logits.detach().double().requires_grad_(), rows)
    losses = {"recurra": ctc_loss, "torch": torch_ctc}
    off = {name: float((gradient(loss, logits, rows) - right).abs().max()) for name, loss in losses.items()}
    times = interleaved(
        {name: lambda loss=loss: gradient(loss, logits, rows) for name, loss in losses.items()}, rounds, clock
    )
    return (
        f"ctc (T, N, C, U) = {sizes}: {compared(times)}; gradient off by {off['recurra']:.0e}, torch {off['torch']:.0e}"
    )


def transducer_line(sizes: tuple[int, ...], rounds: int, clock: Callable[[], float]) -> str:
    works = {name: transducer_step(sizes, loss) for name, loss in TRANSDUCERS.items()}
    memory = [peak_memory(sizes, name) for name in works]
    times = interleaved(works, rounds, clock)
    return f"rnn-t (N, T, U, V, D) = {sizes}: {compared(times)}; {memory[0]:.0f} MB, torch {memory[1]:.0f} MB"


def transducer_step(sizes: tuple[int, ...], loss: Loss) -> Callable[[], object]:
    """Loss and all gradients, with fixed tensors."""
    N, T, U, V, D = sizes
    torch.manual_seed(0)
    left, right = (torch.randn(size, N, D or V).requires_grad_() for size in (T, U + 1))
    weight = torch.randn(V, D).mul_(D**-0.5).requires_grad_() if D else None
    rows = torch.full((N,), T), torch.randint(1, V, (N, U)), torch.full((N,), U)
    leaves = [left, right] + ([weight] if weight is not None else [])
    return lambda: torch.autograd.grad(loss(transducer.Rows(left, right, *rows, weight=weight)).sum() / N, leaves)


def peak_memory(sizes: tuple[int, ...], name: str) -> float:
    """MB that a step adds to the largest resident size, in a process of its own, gradients included."""
    size = ",".join(map(str, sizes))
    command = [sys.executable, __file__, "--memory-of", name, "--sizes", size]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6


def memory_of(name: str, sizes: tuple[int, ...]) -> int:
    """Growth of the largest resident size (VmHWM, Linux) during one step; a tiny one before loads the code."""
    transducer_step((2, 3, 2, 4, min(sizes[4], 2)), TRANSDUCERS[name])()
    work = transducer_step(sizes, TRANSDUCERS[name])
    before = highest_resident()
    work()
    return highest_resident() - before


def highest_resident() -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s*(\d+) kB", text)[1]) * 1024


def gradient(loss: Loss, logits: Tensor, rows: tuple[Tensor, ...]) -> Tensor:
    return torch.autograd.grad(loss(logits, *rows).sum() / len(rows[0]), logits)[0]


def interleaved(
    works: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each work, in turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begin = clock()
            work()
            times[name].append(clock() - begin)
    return times


def compared(times: dict[str, list[float]]) -> str:
    ours, theirs = times.values()
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    mine, other = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    return f"recurra {mine:.1f} ms, torch {other:.1f} ms, {ratio:.1f}x"


if __name__ == "__main__":
    main()
