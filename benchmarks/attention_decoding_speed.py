"""Decoding of a Transformer, greedy and by beam: recurra beside a plain loop in torch, same weights and same answers.

    python benchmarks/attention_decoding_speed.py [--sizes 128,256] [--layers 4] [--beams 1,5] [--rows 64] [--rounds 3]

Weights are random, so that every answer goes on to its longest length (32 tokens here); sources have 5 to 25 tokens.
The plain loop is what a page on the subject shows: torch's functions on padded tensors, keys and values of each step
appended by torch.cat and those of a beam gathered, keys of the source computed once for each hypothesis. Both run in
float32 on as many threads as torch is given, in turns; a figure is the median of the rounds, of CPU time with one
thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.contracts import Batch
from recurra.decode import beam_search, greedy
from recurra.models import EncoderDecoder
from recurra.models.decoders.attending import AttendingDecoder

VOCABULARY, LONGEST, START, END = 8000, 32, 2, 3


def made(size: int, layers: int) -> EncoderDecoder:
    torch.manual_seed(0)
    options = {"name": "transformer", "hidden_size": size, "num_layers": layers, "feed_forward_size": 4 * size}
    sizes = {"tokens": VOCABULARY, "target": VOCABULARY}
    inputs = {"name": "tokens", "embedding_size": size}
    model = EncoderDecoder(sizes, inputs=inputs, encoder=options, decoder=options).eval()
    with torch.no_grad():
        model.decoder.output.bias[:4] = -1e4  # neither padding nor an end
    return model


def sources(rows: int) -> Batch:
    random = torch.Generator().manual_seed(1)
    lengths = torch.randint(5, 26, (rows,), generator=random)
    tokens = torch.randint(4, VOCABULARY, (int(lengths.max()), rows), generator=random)
    return Batch({"tokens": tokens}, lengths, {}, tuple(range(rows)))


def ours(model: EncoderDecoder, batch: Batch, beam: int) -> list[tuple[int, ...]]:
    common: dict[str, Any] = {"num_rows": len(batch.lengths), "start": START, "end": END, "max_length": LONGEST}
    with torch.inference_mode():
        if beam == 1:
            return [row[0].tokens for row in greedy(model, model.start(batch), **common)]
        return [row[0].tokens for row in beam_search(model, model.start(batch), beam=beam, **common)]


class Plain:
    """The same network as a loop over padded tensors. Layers: [q, k, v] (N, heads, T, d) by hand, appended by cat."""

    def __init__(self, model: EncoderDecoder) -> None:
        assert isinstance(model.decoder, AttendingDecoder)
        self.model, self.decoder = model, model.decoder
        self.heads = self.decoder.layers[0].self_attn.num_heads

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2)

    def start(self, batch: Batch) -> tuple[list[list[Tensor]], Tensor]:
        x, lengths = self.model.inputs(batch)
        encoded = self.model.encoder(x, lengths, {})
        memory = encoded.outputs.transpose(0, 1)
        mask = (torch.arange(memory.shape[1]) < lengths.unsqueeze(1))[:, None, None]
        caches = []
        for layer in self.decoder.layers:
            w, b, d = layer.multihead_attn.in_proj_weight, layer.multihead_attn.in_proj_bias, memory.shape[2]
            k, v = F.linear(memory, w[d:], b[d:]).chunk(2, -1)
            caches.append([self.split(k), self.split(v)])
        return caches, mask

    def step(self, tokens: Tensor, t: int, own: list[list[Tensor]], source: list[list[Tensor]], mask: Tensor) -> Tensor:
        decoder, d = self.decoder, self.decoder.embedding.output_size
        x = decoder.places(decoder.embedding(tokens), torch.full_like(tokens, t))
        for k, layer in enumerate(decoder.layers):
            y = layer.norm1(x)
            q, key, value = F.linear(y, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, -1)
            new = [self.split(key), self.split(value)]
            own[k] = [torch.cat(pair, 2) for pair in zip(own[k], new, strict=True)] if t else new
            said = F.scaled_dot_product_attention(self.split(q), *own[k])
            x = x + F.linear(said.transpose(1, 2).reshape(-1, d), *self.out(layer.self_attn))
            cross = layer.multihead_attn
            q = F.linear(layer.norm2(x), cross.in_proj_weight[:d], cross.in_proj_bias[:d])
            said = F.scaled_dot_product_attention(self.split(q), *source[k], attn_mask=mask)
            x = x + F.linear(said.transpose(1, 2).reshape(-1, d), *self.out(cross))
            y = F.gelu(F.linear(layer.norm3(x), layer.linear1.weight, layer.linear1.bias))
            x = x + F.linear(y, layer.linear2.weight, layer.linear2.bias)
        return torch.log_softmax(F.linear(decoder.norm(x), decoder.output.weight, decoder.output.bias), -1)

    @staticmethod
    def out(module: Any) -> tuple[Tensor, Tensor]:
        return module.out_proj.weight, module.out_proj.bias

    def run(self, batch: Batch, beam: int) -> list[tuple[int, ...]]:
        with torch.inference_mode():
            source, mask = self.start(batch)
            N = len(batch.lengths)
            own: list[list[Tensor]] = [[] for _ in source]
            said, sums = torch.full((N, 1), START), torch.zeros(N, 1)
            for t in range(LONGEST):
                log_probs = self.step(said[:, -1], t, own, source, mask).view(N, -1, VOCABULARY)
                live = log_probs.shape[1]
                sums, best = (sums.unsqueeze(2) + log_probs).flatten(1).topk(beam, 1)
                parents = (best // VOCABULARY + live * torch.arange(N).unsqueeze(1)).flatten()
                said = torch.cat([said[parents], (best % VOCABULARY).view(-1, 1)], 1)
                if beam > 1:
                    own = [[part[parents] for part in pair] for pair in own]
                    if live == 1:
                        source = [[part[parents] for part in pair] for pair in source]
                        mask = mask[parents]
            return [tuple(row) for row in said.view(N, beam, -1)[:, 0, 1:].tolist()]


def clock() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def median(run: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds of each, in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for each, work in zip(times, (run, other), strict=True):
            begun = clock()
            work()
            each.append(clock() - begun)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--beams", default="1,5")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    batch = sources(options.rows)
    print(f"d, layers, beam: recurra, plain torch (tokens/s), ratio; {torch.get_num_threads()} threads")
    for size in map(int, options.sizes.split(",")):
        model = made(size, options.layers)
        plain = Plain(model)
        for beam in map(int, options.beams.split(",")):
            agree = sum(a == b for a, b in zip(ours(model, batch, beam), plain.run(batch, beam), strict=True))
            mine, theirs = median(
                lambda b=beam, m=model: ours(m, batch, b), lambda b=beam, p=plain: p.run(batch, b), options.rounds
            )
            tokens = LONGEST * options.rows
            print(
                f"{size}, {options.layers}, {beam}: {tokens / mine:,.0f}, {tokens / theirs:,.0f}, "
                f"{theirs / mine:.2f}; {agree} of {options.rows} answers alike",
                flush=True,
            )


if __name__ == "__main__":
    main()
