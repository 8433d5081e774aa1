"""A training step of a Transformer's encoder beside torch.nn.TransformerEncoder, which computes the padding.

    python benchmarks/transformer_speed.py [--rotary] [--sizes 128,256] [--steps 64,256] [--rows 16] [--memory]

Four layers, four heads, a feed-forward part of 4 d, GELU, norms in front, dropout 0.1, forward and backward, the same
weights. `--rotary`: causal layers with rotary positions and SwiGLU of 8/3 d, as language models have them, beside the
same in plain torch, whose attention is scaled_dot_product_attention. Lengths are uniform in [T / 10, T], or all T. In
turns; a figure is the median of the rounds, of CPU time with one thread. Before that, both must give the same outputs
without dropout. `--memory` shows MiB in the place of seconds: how far the resident memory of a process of its own grows
in a step (Linux), after a tiny step that loads the code.
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.nn import TransformerEncoder, TransformerEncoderLayer

LAYERS, HEADS, DROPOUT = 4, 4, 0.1
# float32, sums in another order.
AGREE = 1e-4
Pair = tuple[TransformerEncoder, nn.Module]


def both(d: int) -> tuple[TransformerEncoder, nn.TransformerEncoder]:
    torch.manual_seed(0)
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(d, HEADS, 4 * d, DROPOUT, "gelu", norm_first=True),
        LAYERS,
        nn.LayerNorm(d),
        enable_nested_tensor=False,
    )
    ours = TransformerEncoder(
        TransformerEncoderLayer(d, HEADS, 4 * d, DROPOUT, "gelu", norm_first=True), LAYERS, nn.LayerNorm(d)
    )
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


class PlainRotary(nn.Module):
    """Causal pre-norm layers with rotary positions (halves) and SwiGLU, in torch's own words, with others' weights."""

    def __init__(self, ours: TransformerEncoder) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for one in ours.layers:
            block = nn.ModuleDict(
                {"norm1": one.norm1, "norm2": one.norm2, "linear1": one.linear1, "linear2": one.linear2}
            )
            block["qkv"] = nn.Linear(one.self_attn.embed_dim, 3 * one.self_attn.embed_dim)
            block["qkv"].weight, block["qkv"].bias = one.self_attn.in_proj_weight, one.self_attn.in_proj_bias
            block["out"] = one.self_attn.out_proj
            self.layers.append(copy.deepcopy(block))
        for name, module in list(self.named_modules()):
            if isinstance(module, nn.Linear) and type(module) is not nn.Linear:
                plain = nn.Linear(module.in_features, module.out_features)
                plain.load_state_dict(module.state_dict())
                self.set_submodule(name, plain)
        self.norm = copy.deepcopy(ours.norm)

    def forward(self, x: Tensor, src_key_padding_mask: Tensor | None = None) -> Tensor:
        """(T, N, d). What is behind a length is computed like the rest, and not looked at."""
        T, N, d = x.shape
        D = d // HEADS
        angles = torch.arange(T).unsqueeze(1) * 10_000.0 ** (-torch.arange(0, D, 2) / D)
        cos, sin = torch.cos(angles), torch.sin(angles)
        x, p = x.transpose(0, 1), DROPOUT if self.training else 0.0

        def turned(y: Tensor) -> Tensor:
            a, b = y.chunk(2, -1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

        for block in self.layers:
            q, k, v = (
                part.view(N, T, HEADS, D).transpose(1, 2) for part in block["qkv"](block["norm1"](x)).chunk(3, -1)
            )
            said = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True)
            x = x + F.dropout(block["out"](said.transpose(1, 2).reshape(N, T, d)), p)
            a, b = block["linear1"](block["norm2"](x)).chunk(2, -1)
            x = x + F.dropout(block["linear2"](F.dropout(F.silu(a) * b, p)), p)
        made: Tensor = self.norm(x).transpose(0, 1)
        return made


def both_rotary(d: int) -> tuple[TransformerEncoder, PlainRotary]:
    torch.manual_seed(0)
    how = {"norm_first": True, "attention_dropout": 0.0, "causal": True, "rotary": True}
    layer = TransformerEncoderLayer(d, HEADS, 8 * d // 3 // 16 * 16, DROPOUT, "swiglu", **how)
    ours = TransformerEncoder(layer, LAYERS, nn.LayerNorm(d))
    return ours, PlainRotary(ours)


def clock() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(step: Callable[[], Tensor], module: nn.Module) -> float:
    module.zero_grad(set_to_none=True)
    begun = clock()
    step().square().mean().backward()
    return clock() - begun


def measured(pair: Pair, T: int, rows: int, rounds: int, *, full: bool) -> tuple[float, float]:
    """Seconds of a step of ours, and of torch's."""
    ours, theirs = pair
    d = ours.layers[0].self_attn.embed_dim
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


def memory_of(pair: Pair, T: int, rows: int, *, full: bool) -> tuple[float, float]:
    """MiB of a step of ours, and of torch's."""
    ours, theirs = (module.train() for module in pair)
    d = pair[0].layers[0].self_attn.embed_dim
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
    parser.add_argument("--rotary", action="store_true")
    options = parser.parse_args()
    make = both_rotary if options.rotary else both
    unit = "MiB" if options.memory else "s"
    print(f"| d | T | lengths | recurra, {unit} | torch, {unit} | ratio |   {torch.get_num_threads()} threads")
    for d in map(int, options.sizes.split(",")):
        for T in map(int, options.steps.split(",")):
            for full in (False, True):
                words, digits = "all T" if full else "T/10 to T", 0 if options.memory else 3
                if options.memory:
                    mine, torchs = memory_of(make(d), T, options.rows, full=full)
                else:
                    mine, torchs = measured(make(d), T, options.rows, options.rounds, full=full)
                shown = f"{mine:.{digits}f} | {torchs:.{digits}f} | {torchs / mine:.2f}"
                print(f"| {d} | {T} | {words} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
