"""Decoding of a Transformer, greedy and by beam: recurra beside others, same weights and same answers.

    python benchmarks/attention_decoding_speed.py [--peer torch] [--sizes 128,256] [--layers 4,6] [--beams 1,5]

Weights are random, so that every answer goes on to its longest length (32 tokens here); sources have 5 to 25 tokens.
The plain loop is what a page on the subject shows: torch's functions on padded tensors, keys and values of each step
appended by torch.cat and those of a beam gathered, keys of the source computed once for each hypothesis.
`--peer ctranslate2` takes CTranslate2 (`pip install ctranslate2`), whose model is made of the same weights; both search
by the sum of log-probabilities. Both run in float32 on as many threads as torch is given, in turns; a figure is the
median of the rounds, of CPU time of the process.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
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
from recurra.nn.transformer.positions import sinusoids

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


class Translate2:
    """CTranslate2 with a model's weights: `TransformerSpec`, filled in and written to a folder."""

    def __init__(self, model: EncoderDecoder) -> None:
        import ctranslate2
        from ctranslate2.specs import TransformerSpec
        from ctranslate2.specs.common_spec import Activation

        assert isinstance(model.decoder, AttendingDecoder)
        encoder, decoder = model.encoder, model.decoder
        layers, heads = (len(encoder.blocks), len(decoder.blocks)), decoder.layers[0].self_attn.num_heads
        spec = TransformerSpec.from_config(layers, heads, pre_norm=True, activation=Activation.GELU)
        size = decoder.embedding.output_size
        places = sinusoids(torch.arange(512), size, torch.zeros((), dtype=torch.float32))
        spec.encoder.embeddings[0].weight = numbers(model.inputs.embedding.weight)
        spec.decoder.embeddings.weight = numbers(decoder.embedding.weight)
        for side, module in ((spec.encoder, encoder), (spec.decoder, decoder)):
            side.position_encodings.encodings = numbers(places)
            self.norm(side.layer_norm, module.norm)
            for into, layer in zip(side.layer, module.blocks, strict=True):
                self.itself(into.self_attention, layer)
                self.fed(into.ffn, layer)
        for into, layer in zip(spec.decoder.layer, decoder.layers, strict=True):
            self.source(into.attention, layer)
        self.linear(spec.decoder.projection, decoder.output.weight, decoder.output.bias)
        words = ["<blank>", "<unk>", "<s>", "</s>", *map(str, range(4, VOCABULARY))]
        spec.register_source_vocabulary(words)
        spec.register_target_vocabulary(words)
        spec.validate()
        with tempfile.TemporaryDirectory() as folder:
            spec.save(folder)
            self.translator = ctranslate2.Translator(
                folder, device="cpu", compute_type="float32", inter_threads=1, intra_threads=torch.get_num_threads()
            )

    @staticmethod
    def linear(into: Any, weight: Tensor, bias: Tensor) -> None:
        into.weight, into.bias = numbers(weight), numbers(bias)

    @staticmethod
    def norm(into: Any, norm: Any) -> None:
        into.gamma, into.beta = numbers(norm.weight), numbers(norm.bias)

    def itself(self, into: Any, layer: Any) -> None:
        self.norm(into.layer_norm, layer.norm1)
        self.linear(into.linear[0], layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias)
        self.linear(into.linear[1], layer.self_attn.out_proj.weight, layer.self_attn.out_proj.bias)

    def source(self, into: Any, layer: Any) -> None:
        module, d = layer.multihead_attn, layer.multihead_attn.embed_dim
        self.norm(into.layer_norm, layer.norm2)
        self.linear(into.linear[0], module.in_proj_weight[:d], module.in_proj_bias[:d])
        self.linear(into.linear[1], module.in_proj_weight[d:], module.in_proj_bias[d:])
        self.linear(into.linear[2], module.out_proj.weight, module.out_proj.bias)

    def fed(self, into: Any, layer: Any) -> None:
        self.norm(into.layer_norm, layer.norm3 if hasattr(layer, "norm3") else layer.norm2)
        self.linear(into.linear_0, layer.linear1.weight, layer.linear1.bias)
        self.linear(into.linear_1, layer.linear2.weight, layer.linear2.bias)

    def run(self, batch: Batch, beam: int) -> list[tuple[int, ...]]:
        rows = batch.inputs["tokens"].t().tolist()
        sources = [list(map(str, row[:n])) for row, n in zip(rows, batch.lengths.tolist(), strict=True)]
        found = self.translator.translate_batch(
            sources, beam_size=beam, length_penalty=0.0, max_decoding_length=LONGEST, max_batch_size=0
        )
        return [tuple(map(int, one.hypotheses[0])) for one in found]


def numbers(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def clock() -> float:
    return time.process_time()


def median(run: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds of each, in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for each, work in zip(times, (run, other), strict=True):
            begun = clock()
            work()
            each.append(clock() - begun)
    return statistics.median(times[0]), statistics.median(times[1])


PEERS: dict[str, Any] = {"torch": Plain, "ctranslate2": Translate2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--layers", default="4,6")
    parser.add_argument("--peer", choices=PEERS, default="torch")
    parser.add_argument("--beams", default="1,5")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    batch, tokens = sources(options.rows), LONGEST * options.rows
    print(f"{torch.get_num_threads()} threads; tokens a second of CPU time\n")
    print(f"| d | layers | beam | recurra | {options.peer} | ratio | answers alike |\n|---|---|---|---|---|---|---|")
    cases = itertools.product(*(map(int, given.split(",")) for given in (options.sizes, options.layers)))
    for size, layers in cases:
        model = made(size, layers)
        peer = PEERS[options.peer](model)
        for beam in map(int, options.beams.split(",")):
            agree = sum(a == b for a, b in zip(ours(model, batch, beam), peer.run(batch, beam), strict=True))
            mine, theirs = median(
                lambda b=beam, m=model: ours(m, batch, b), lambda b=beam, p=peer: p.run(batch, b), options.rounds
            )
            print(
                f"| {size} | {layers} + {layers} | {beam} | {tokens / mine:,.0f} | {tokens / theirs:,.0f} | "
                f"{theirs / mine:.2f} | {agree} of {options.rows} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
