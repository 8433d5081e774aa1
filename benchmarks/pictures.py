"""Pictures: the captions of emoji and their retrieval, by group, and the nearest of 100,000 vectors.

    python benchmarks/pictures.py data noto_emoji_cldr/ build/emoji     # train.csv, dev.csv and test.csv, with pictures
    python benchmarks/pictures.py speed                                 # the nearest of 100,000 vectors, on one core
    python benchmarks/pictures.py steps                                 # a training step beside the same in torch

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
from pathlib import Path

import numpy as np


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
    import torch
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


if __name__ == "__main__":
    word, *rest = sys.argv[1:]
    {"data": lambda: data(*map(Path, rest)), "speed": speed, "steps": steps}[word]()
