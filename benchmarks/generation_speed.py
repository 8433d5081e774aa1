"""A language model of attention that writes, beside a plain loop of torch: `python benchmarks/generation_speed.py`.

Causal layers with random weights, rotary positions and a window, one token after another behind WINDOW others. The loop
is what people write: weights as they are, keys and values of the window in one tensor, torch's functions. Both must say
the same. A Markdown table goes to standard output: milliseconds of a step, medians of CPU time on one thread.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.bench.clock import Meter
from recurra.models.encoders import Transformer
from recurra.nn.transformer.positions import rotated_at

AGREE = 1e-4


def made(size: int, layers: int, window: int) -> Transformer:
    torch.manual_seed(0)
    heads = size // 32
    return Transformer(
        size, hidden_size=size, num_layers=layers, num_heads=heads, causal=True, window=window, positions="rotary"
    ).eval()


class Loop:
    """The same model, a step at a time, in torch's functions."""

    def __init__(self, model: Transformer, rows: int) -> None:
        self.model, self.at = model, 0
        shape = (rows, model.blocks[0].self_attn.num_heads, 2 * model.window, 32)
        self.kept = [(torch.zeros(shape), torch.zeros(shape)) for _ in model.blocks]

    def __call__(self, x: Tensor) -> Tensor:
        W, at = self.model.window, self.at
        if at == 2 * W:  # the last window goes to the front
            for pair in self.kept:
                for one in pair:
                    one[:, :, : W - 1] = one[:, :, at - W + 1 : at].clone()
            at = W - 1
        first = max(0, at + 1 - W)
        for block, (keys, values) in zip(self.model.blocks, self.kept, strict=True):
            x = x + self.attended(block, block.norm1(x), keys, values, first, at)
            y = F.gelu(F.linear(block.norm2(x), block.linear1.weight, block.linear1.bias))
            x = x + F.linear(y, block.linear2.weight, block.linear2.bias)
        self.at = at + 1
        found: Tensor = self.model.norm(x)
        return found

    @staticmethod
    def attended(block: Any, x: Tensor, keys: Tensor, values: Tensor, first: int, at: int) -> Tensor:
        own = block.self_attn
        q, k, v = F.linear(x, own.in_proj_weight, own.in_proj_bias).view(len(x), 3, own.num_heads, 32).unbind(1)
        here = torch.tensor(at)
        keys[:, :, at], values[:, :, at] = rotated_at(k, here), v
        q = rotated_at(q, here).unsqueeze(2)
        said = F.scaled_dot_product_attention(q, keys[:, :, first : at + 1], values[:, :, first : at + 1])
        return F.linear(said.flatten(1), own.out_proj.weight, own.out_proj.bias)


def measured(size: int, layers: int, window: int, rows: int, seconds: float) -> tuple[float, float]:
    model = made(size, layers, window)
    loop, states, step = Loop(model, rows), {}, model.incremental()

    def ours(x: Tensor) -> Tensor:
        nonlocal states
        said, states = step(x, states)
        return said

    for x in torch.randn(2 * window, rows, size):  # the loop's tensor is full once, so that its copying counts
        torch.testing.assert_close(ours(x), loop(x), atol=AGREE, rtol=AGREE)
    x = torch.randn(rows, size)
    found = Meter.of(seconds, 1).medians({"ours": lambda: ours(x), "loop": lambda: loop(x)})
    return 1000 * found["ours"], 1000 * found["loop"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| d | layers | window | rows | recurra, ms | plain loop, ms | ratio |\n|---|---|---|---|---|---|---|")
    for size, layers, window, rows in ((128, 2, 256, 1), (128, 4, 256, 1), (256, 4, 256, 1), (256, 4, 256, 8)):
        with torch.no_grad():
            a, b = measured(size, layers, window, rows, options.seconds)
        print(f"| {size} | {layers} | {window} | {rows} | {a:.2f} | {b:.2f} | {b / a:.2f} |", flush=True)


if __name__ == "__main__":
    main()
