"""Pictures: the captions of emoji and their retrieval, by group, and the nearest of 100,000 vectors.

    python benchmarks/pictures.py data noto_emoji_cldr/ build/emoji     # train.csv, dev.csv and test.csv, with pictures
    python benchmarks/pictures.py speed                                 # the nearest of 100,000 vectors, on one core
    python benchmarks/pictures.py steps                                 # a training step beside the same in torch
    python benchmarks/pictures.py captions [12]                         # their search beside a loop in torch, in rounds

The rest is recurra itself, as docs/results.md has it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.data.tokenizers import BOS, EOS

RECURRENT = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def data(source: Path, target: Path) -> None:
    """Split by group, as the set's own notes say: sha1 of the group; 0 is test, 1 dev of ten."""
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source / "png72.tar") as archive:
        archive.extractall(target, filter="data")
    rows: dict[str, list[tuple[str, str, str]]] = {"train": [], "dev": [], "test": []}
    with gzip.open(source / "names.jsonl.gz", "rt") as file:
        for line in file:
            row = json.loads(line)
            place = int(hashlib.sha1(row["group"].encode()).hexdigest()[:8], 16) % 10
            split = "test" if place == 0 else "dev" if place == 1 else "train"
            if "en" in row["names"]:
                rows[split].append((row["image"], row["names"]["en"], row["group"]))
    for split, found in rows.items():
        with open(target / f"{split}.csv", "w", newline="") as table:
            csv.writer(table).writerows([("image", "caption", "group"), *found])
        print(f"{split}: {len(found):,} pictures")


def speed(number: int = 100_000, size: int = 128, times: int = 50) -> None:
    """Milliseconds of CPU for the ten nearest of so many vectors, the median."""
    from recurra.data.vector_index import VectorIndex

    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(number, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex(vectors, tuple((str(k), 0, 0) for k in range(number)), "")
    spent = []
    for k in range(times):
        begun = time.process_time()
        index.nearest(vectors[k], 10)
        spent.append(1000 * (time.process_time() - begun))
    print(f"{number:,} vectors of {size}: {np.median(spent):.1f} ms of CPU a query (least {min(spent):.1f})")


def steps(pictures: int = 32, size: int = 64, times: int = 12) -> None:
    """Milliseconds of CPU of a training step, forward and backward, beside the same layers of torch, in turn."""
    from torch import nn

    from recurra.base.contracts import Batch
    from recurra.models import EncoderDecoder
    from recurra.nn import linear_cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(1)
    sizes = {"height": size, "width": size, "channels": 3, "target": 1200}
    decoder = {"name": "recurrent", "cell": "lstm", "hidden_size": 256, "attention": "none", "style": "cho"}
    ours = EncoderDecoder(sizes, inputs="images", encoder="image", decoder=decoder)

    class Norm(nn.LayerNorm):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Block(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            self.n1, self.n2 = Norm(a), Norm(b)
            self.c1, self.c2 = nn.Conv2d(a, b, 3, 2, 1), nn.Conv2d(b, b, 3, 1, 1)
            self.short = nn.Conv2d(a, b, 1, 2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            y = torch.relu(self.n1(x))
            return self.short(y) + self.c2(torch.relu(self.n2(self.c1(y))))

    class Theirs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolutions = nn.Sequential(
                nn.Conv2d(3, 32, 3, 2, 1), Block(32, 64), Block(64, 128), Norm(128), nn.ReLU()
            )
            self.h, self.c = nn.Linear(128, 256), nn.Linear(128, 256)
            self.table, self.lstm = nn.Embedding(1200, 128), nn.LSTM(128 + 128, 256)
            self.out = nn.Linear(256, 1200)

        def forward(self, x, target):  # type: ignore[no-untyped-def]
            mean = self.convolutions(x.permute(0, 3, 1, 2).float() / 127.5 - 1).mean((2, 3))
            read = torch.cat([self.table(target), mean.expand(len(target), *mean.shape)], 2)
            h, _ = self.lstm(read, (self.h(mean).tanh()[None], self.c(mean).tanh()[None]))
            return self.out(h)

    theirs = Theirs().to(memory_format=torch.channels_last)
    pixels = torch.randint(0, 255, (pictures, size, size, 3), dtype=torch.uint8)
    target = torch.randint(4, 1200, (16, pictures))
    read = {"pixels": pixels, "target": target, "target_lengths": torch.full((pictures,), 16)}
    batch = Batch(read, torch.ones(pictures, dtype=torch.int64), {}, tuple(range(pictures)))
    said = target.flatten()

    def our_step() -> torch.Tensor:
        out = ours(batch).outputs
        return linear_cross_entropy(out["hidden"].flatten(0, 1), out["weight"], out["bias"], said).sum()

    def their_step() -> torch.Tensor:
        return nn.functional.cross_entropy(theirs(pixels, target).flatten(0, 1), said, reduction="sum")

    spent: dict[str, list[float]] = {"recurra": [], "torch": []}
    for _ in range(times):
        for name, step in (("recurra", our_step), ("torch", their_step)):
            begun = time.process_time()
            step().backward()
            spent[name].append(1000 * (time.process_time() - begun))
    for name, values in spent.items():
        print(f"{name}: {np.median(values[2:]):.0f} ms of CPU a step of {pictures} pictures of {size} x {size}")


class PlainCaptions:
    """The network of `captions` in torch's own functions, from recurra's weights, and a loop over its steps.

    Pictures (N, H, W, 3) as bytes; additive attention over the places, an LSTM, and maxout (Bahdanau et al. 2015).
    """

    def __init__(self, weights: dict[str, Any]) -> None:
        self.w = weights
        self.step = torch.nn.LSTMCell(256, 256)
        self.step.load_state_dict(
            {name.removesuffix("_l0"): weights[f"decoder.recurrent.{name}"] for name in RECURRENT}, strict=True
        )

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def norm(self, name: str, x: Tensor) -> Tensor:
        y = x.permute(0, 2, 3, 1)
        y = F.layer_norm(y, y.shape[-1:], self.w[f"encoder.{name}.weight"], self.w[f"encoder.{name}.bias"])
        return torch.relu(y).permute(0, 3, 1, 2)

    def convolved(self, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, self.w[f"encoder.{name}.weight"], self.w[f"encoder.{name}.bias"], stride, padding)

    def start(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Places, their keys, h and c."""
        x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        x = self.convolved("first", x.contiguous(memory_format=torch.channels_last), 2, 1)
        for k in range(2):
            y = self.norm(f"stages.{k}.0.norm1", x)
            beside = self.convolved(f"stages.{k}.0.shortcut", y, 2, 0)
            y = self.norm(f"stages.{k}.0.norm2", self.convolved(f"stages.{k}.0.conv1", y, 2, 1))
            x = beside + self.convolved(f"stages.{k}.0.conv2", y, 1, 1)
        places = self.norm("norm", x).flatten(2).transpose(1, 2)
        mean = places.mean(1)
        h, c = (torch.tanh(self.linear(f"decoder.bridge.maps.{s}_l0", mean)) for s in "hc")
        return places, self.linear("decoder.attention.score.key", places), h, c

    def said(self, token: Tensor, places: Tensor, keys: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of the next token, h and c."""
        query = self.linear("decoder.attention.score.query", h)
        energy = self.linear("decoder.attention.score.energy", torch.tanh(keys + query[:, None])).squeeze(2)
        context = torch.bmm(energy.softmax(1)[:, None], places).squeeze(1)
        x = F.embedding(token, self.w["decoder.embedding.weight"])
        h, c = self.step(torch.cat([x, context], 1), (h, c))
        one, other = self.linear("decoder.readout.joint", torch.cat([h, x, context], 1)).chunk(2, 1)
        return torch.log_softmax(self.linear("decoder.output", torch.maximum(one, other)), 1), h, c

    def greedy(self, start: tuple[Tensor, ...], longest: int) -> list[list[int]]:
        """The most probable token, again and again, until all have ended."""
        places, keys, h, c = start
        token = torch.full((len(h),), BOS)
        done, said = torch.zeros(len(h), dtype=torch.bool), []
        for _ in range(longest):
            log_probs, h, c = self.said(token, places, keys, h, c)
            token = log_probs.argmax(1)
            said.append(token)
            done |= token == EOS
            if done.all():
                break
        return [_until_end(row) for row in torch.stack(said, 1).tolist()]

    def beam(self, start: tuple[Tensor, ...], longest: int, width: int = 5) -> list[list[int]]:
        """Of each picture `width` texts are followed; an ended one stays among them as it is."""
        N, V = len(start[0]), len(self.w["decoder.output.bias"])
        places, keys, h, c = (t.repeat_interleave(width, 0) for t in start)
        scores = torch.full((N, width), -torch.inf)
        scores[:, 0] = 0
        said = torch.full((N * width, 1), BOS)
        only_end = torch.full((V,), -torch.inf)
        only_end[EOS] = 0
        for _ in range(longest):
            log_probs, h, c = self.said(said[:, -1], places, keys, h, c)
            log_probs = torch.where((said[:, -1] == EOS)[:, None], only_end, log_probs)
            scores, best = (scores[:, :, None] + log_probs.view(N, width, V)).flatten(1).topk(width, 1)
            rows = (torch.arange(N)[:, None] * width + best // V).flatten()
            said = torch.cat([said[rows], (best % V).flatten()[:, None]], 1)
            h, c = h[rows], c[rows]
            if (said[:, -1] == EOS).all():
                break
        return [_until_end(row) for row in said.view(N, width, -1)[:, 0, 1:].tolist()]


def _until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens


def captions(times: int = 12, pictures: int = 32, size: int = 64, longest: int = 16) -> None:
    """Milliseconds of CPU of the captions of so many pictures, beside a loop in torch with the same weights, in turn.

    Untrained, with an output layer so sharp that hypotheses differ by whole nats; raises RuntimeError where the two say
    different captions.
    """
    from recurra.base.contracts import Batch
    from recurra.decode import beam_search, greedy
    from recurra.models import EncoderDecoder
    from recurra.tasks.translation.search import Speaker

    torch.set_num_threads(1)
    torch.manual_seed(1)
    sizes = {"height": size, "width": size, "channels": 3, "target": 1200}
    decoder = {"name": "recurrent", "cell": "lstm", "hidden_size": 256}
    model = EncoderDecoder(sizes, inputs="images", encoder="image", decoder=decoder).eval()
    with torch.no_grad():
        model.decoder.output.weight.mul_(30)
        model.decoder.output.bias[:3] = -1e4  # padding, unknown and start are never said
    plain = PlainCaptions(model.state_dict())
    pixels = torch.randint(0, 255, (pictures, size, size, 3), dtype=torch.uint8)
    batch = Batch({"pixels": pixels}, torch.ones(pictures, dtype=torch.int64), {}, tuple(range(pictures)))

    def ours(width: int, begun: Any = None) -> list[list[int]]:
        common: dict[str, Any] = {"num_rows": pictures, "start": BOS, "end": EOS, "max_length": longest}
        first = model.start(batch) if begun is None else begun
        if width == 1:
            found = greedy(Speaker(model), first, **common)
        else:
            found = beam_search(Speaker(model), first, beam=width, **common)
        return [list(row[0].tokens) for row in found]

    def theirs(width: int, begun: Any = None) -> list[list[int]]:
        first = plain.start(pixels) if begun is None else begun
        return plain.greedy(first, longest) if width == 1 else plain.beam(first, longest, width)

    with torch.no_grad():
        parts = {"encoder": (lambda: model.start(batch), lambda: plain.start(pixels))}
        for width, name in ((1, "greedy"), (5, "beam 5")):
            if (one := ours(width)) != (other := theirs(width)):
                raise RuntimeError(f"{name}: {sum(map(list.__ne__, one, other))} of {pictures} captions differ.")
            parts[name] = (partial(ours, width), partial(theirs, width))
            # As the encoder has begun them.
            alone = partial(ours, width, model.start(batch)), partial(theirs, width, plain.start(pixels))
            if alone[0]() != one:
                raise RuntimeError(f"{name}: a search that is begun again says other captions.")
            parts[f"{name}, decoder alone"] = alone
        for name, works in parts.items():
            one, other = in_turn(works, times)
            print(f"{name}: {one:.1f} ms of CPU, torch {other:.1f}, {other / one:.2f} times as long")


def in_turn(works: Sequence[Callable[[], object]], times: int) -> list[float]:
    """Milliseconds of CPU of each, the median of so many, after two that do not count."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(times + 2):
        for values, work in zip(spent, works, strict=True):
            begun = time.process_time()
            work()
            values.append(1000 * (time.process_time() - begun))
    return [float(np.median(values[2:])) for values in spent]


if __name__ == "__main__":
    word, *rest = sys.argv[1:]
    works: dict[str, Callable[[], None]] = {
        "data": lambda: data(*map(Path, rest)),
        "speed": speed,
        "steps": steps,
        "captions": lambda: captions(*map(int, rest)),
    }
    works[word]()
