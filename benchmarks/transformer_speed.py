"""A training step of a Transformer's encoder beside torch.nn.TransformerEncoder, which computes the padding.

    python benchmarks/transformer_speed.py [--sizes 128,256] [--steps 64,256] [--rows 16] [--rounds 5]

Four layers, four heads, a feed-forward part of 4 d, GELU, norms in front, dropout 0.1, forward and backward, the same
weights. Lengths are uniform in [T / 10, T], or all T. In turns; a figure is the median of the rounds, of CPU time with
one thread. Before that, both must give the same outputs without dropout.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

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
    lengths = torch.randint(T // 10, T + 1, (rows,), generator=torch.Generator().manual_seed(1))
    lengths = torch.full_like(lengths, T) if full else lengths
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--steps", default="64,256")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"| d | T | lengths | recurra, s | torch, s | ratio |   {torch.get_num_threads()} threads")
    for d in map(int, options.sizes.split(",")):
        for T in map(int, options.steps.split(",")):
            for full in (False, True):
                mine, torchs = measured(d, T, options.rows, options.rounds, full=full)
                words = "all T" if full else "T/10 to T"
                print(f"| {d} | {T} | {words} | {mine:.3f} | {torchs:.3f} | {torchs / mine:.2f} |", flush=True)


if __name__ == "__main__":
    main()
