"""A training step of a Transformer's encoder beside torch.nn.TransformerEncoder, which computes the padding.

    python benchmarks/transformer_speed.py [--sizes 128,256] [--steps 64,256] [--rows 16] [--rounds 5] [--memory]

Four layers, four heads, a feed-forward part of 4 d, GELU, norms in front, dropout 0.1, forward and backward, the same
weights. Lengths are uniform in [T / 10, T], or all T. In turns; a figure is the median of the rounds, of CPU time with
one thread. Before that, both must give the same outputs without dropout. `--memory` shows MiB in the place of seconds:
how far the resident memory of a process of its own grows in a step (Linux), after a tiny step that loads the code.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from recurra.nn import TransformerEncoder, TransformerEncoderLayer

LAYERS, HEADS = 4, 4
# float32, sums in another order.
AGREE = 1e-4


def both(d: int) -> tuple[TransformerEncoder, nn.TransformerEncoder]:
    torch.manual_seed(0)
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(d, HEADS, 4 * d, 0.1, "gelu", norm_first=True),
        LAYERS,
        nn.LayerNorm(d),
        enable_nested_tensor=False,
    )
    ours = TransformerEncoder(
        TransformerEncoderLayer(d, HEADS, 4 * d, 0.1, "gelu", norm_first=True), LAYERS, nn.LayerNorm(d)
    )
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def clock() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(step: Callable[[], Tensor], module: nn.Module) -> float:
    module.zero_grad(set_to_none=True)
    begun = clock()
    step().square().mean().backward()
    return clock() - begun


def measured(d: int, T: int, rows: int, rounds: int, *, full: bool) -> tuple[float, float]:
    """Seconds of a step of ours, and of torch's."""
    ours, theirs = both(d)
    lengths = lengths_of(T, rows, full=full)
    T = int(lengths.max())
    x, padding = torch.randn(T, rows, d), torch.arange(T) >= lengths.unsqueeze(1)
    with torch.no_grad():
        a, b = (module.eval() for module in (ours, theirs))
        real = ~padding.T.unsqueeze(2)
        apart = torch.where(real, a(x, lengths=lengths) - b(x, src_key_padding_mask=padding), 0.0).abs().max()
    if not apart < AGREE:
        raise SystemExit(f"d {d}, T {T}: outputs are {float(apart):.1g} apart.")
    ours.train()
    theirs.train()
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        found[0].append(seconds(lambda: ours(x, lengths=lengths), ours))
        found[1].append(seconds(lambda: theirs(x, src_key_padding_mask=None if full else padding), theirs))
    return statistics.median(found[0]), statistics.median(found[1])


def grown(run: Callable[[nn.Module, Tensor, Tensor], Tensor], module: nn.Module, x: Tensor, lengths: Tensor) -> float:
    """MiB by which a process of its own grows at most in one step."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        tiny = x[:2, :2].contiguous(), lengths[:2].clamp(max=2)
        run(module, *tiny).square().mean().backward()
        module.zero_grad(set_to_none=True)
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = resident("VmRSS")
        run(module, x, lengths).square().mean().backward()
        os.write(writing, f"{(resident('VmHWM') - before) / 1024}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        return float(said.read())


def resident(name: str) -> int:
    """kB of this process, now (VmRSS) or at most since the last reset (VmHWM)."""
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def ours_of(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    said: Tensor = module(x, lengths=lengths)
    return said


def theirs_of(module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    full = bool((lengths == len(x)).all())
    padding = None if full else torch.arange(len(x)) >= lengths.unsqueeze(1)
    said: Tensor = module(x, src_key_padding_mask=padding)
    return said


def memory_of(d: int, T: int, rows: int, *, full: bool) -> tuple[float, float]:
    """MiB of a step of ours, and of torch's."""
    ours, theirs = (module.train() for module in both(d))
    lengths = lengths_of(T, rows, full=full)
    x = torch.randn(int(lengths.max()), rows, d)
    return grown(ours_of, ours, x, lengths), grown(theirs_of, theirs, x, lengths)


def lengths_of(T: int, rows: int, *, full: bool) -> Tensor:
    found = torch.randint(T // 10, T + 1, (rows,), generator=torch.Generator().manual_seed(1))
    return torch.full_like(found, T) if full else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--steps", default="64,256")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    unit = "MiB" if options.memory else "s"
    print(f"| d | T | lengths | recurra, {unit} | torch, {unit} | ratio |   {torch.get_num_threads()} threads")
    for d in map(int, options.sizes.split(",")):
        for T in map(int, options.steps.split(",")):
            for full in (False, True):
                words, digits = "all T" if full else "T/10 to T", 0 if options.memory else 3
                if options.memory:
                    mine, torchs = memory_of(d, T, options.rows, full=full)
                else:
                    mine, torchs = measured(d, T, options.rows, options.rounds, full=full)
                shown = f"{mine:.{digits}f} | {torchs:.{digits}f} | {torchs / mine:.2f}"
                print(f"| {d} | {T} | {words} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
