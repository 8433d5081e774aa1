"""CTC beside torch's, interleaved: `python benchmarks/speech_losses.py`.

Loss and gradient with respect to logits, the softmax included, at the sizes of a speech model. For each: milliseconds
(medians), times as fast as torch (the median of the ratios of runs that follow one another), and how far the gradient
is from float64. With one thread the clock counts CPU time, with more wall time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.engine.ctc import ctc_loss
from recurra.losses import ctc as readable

# T frames, N rows, C units, U of them in each target.
CTC = ((500, 16, 32, 60), (1000, 16, 32, 100), (500, 16, 1000, 60), (2000, 4, 32, 200))
Loss = Callable[..., Tensor]


def torch_ctc(logits: Tensor, lengths: Tensor, targets: Tensor, sizes: Tensor) -> Tensor:
    return F.ctc_loss(logits.log_softmax(2), targets, lengths, sizes, reduction="none")


def main() -> None:
    """A line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for sizes in CTC:
        print(ctc_line(sizes, options.rounds, clock), flush=True)


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
