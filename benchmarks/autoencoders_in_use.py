"""What autoencoders of sequences are used for: which heartbeats are unusual, and labels that are few.

    python benchmarks/autoencoders_in_use.py heartbeats DATA [--epochs 60] [--seed 1]
    python benchmarks/autoencoders_in_use.py labels DATA [--texts 6000] [--labels 500] [--epochs 5] [--seeds 3]

heartbeats: ECG5000_TRAIN.txt, 500 rows of 140 steps. The first 200 of class 1 are learned from; its others are
usual, those of other classes are not. A row's score is its mean squared error; AUC by ranks. Beside: PCA with as many
numbers, and feed-forward layers.
labels: imdb_train.csv.gz, imdb_test.csv.gz. Texts without labels make an autoencoder (Dai & Le 2015); a classifier of
few labels begins with its encoder, with its vectors of tokens alone, or with nothing. Scores are of 3,000 test reviews.
With --shared encoder and decoder are one network, as in the paper.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from recurra import api

GRU = {"name": "recurrent", "cell": "gru", "hidden_size": 64}
KINDS: dict[str, dict[str, Any]] = {
    "gru, gru": {"encoder": GRU, "decoder": "recurrent"},
    "gru, gru from the end": {"encoder": GRU, "decoder": {"name": "recurrent", "reverse": True}},
    "gru, teacher forcing": {"encoder": GRU, "decoder": {"name": "recurrent", "teacher_forcing": True}},
    "transformer": {
        "encoder": {"name": "transformer", "hidden_size": 64, "dropout": 0.0},
        "decoder": {"name": "transformer", "hidden_size": 64},
    },
    "dense": {"encoder": {"name": "dense", "sizes": [128, 64]}, "decoder": "dense"},
}
CODE = 8


def auc(normal: np.ndarray, odd: np.ndarray) -> float:
    """The share of pairs in which the odd one has the larger score."""
    return float(((odd[:, None] > normal).mean() + (odd[:, None] >= normal).mean()) / 2)


def optimizer(epochs: int, rate: float, rows: int, seed: int) -> dict[str, Any]:
    return {
        "epochs": epochs, "batch_rows": rows, "patience": None, "seed": seed, "report": "scores",
        "optimizer": {"name": "adam", "lr": rate}, "schedule": {"name": "cosine", "warmup": 0.05},
    }  # fmt: skip


def heartbeats(folder: Path, epochs: int, seed: int) -> None:
    table = np.loadtxt(folder / "ECG5000_TRAIN.txt")
    labels, rows = table[:, 0].astype(int), table[:, 1:]
    usual, odd = rows[labels == 1], rows[labels != 1]
    np.savez("train.npz", values=usual[:200, :, None])
    np.savez("usual.npz", values=usual[200:, :, None])
    np.savez("odd.npz", values=odd[:, :, None])
    mean = usual[:200].mean(0)
    axes = np.linalg.svd(usual[:200] - mean, full_matrices=False)[2][:CODE]
    away = [((x - mean - (x - mean) @ axes.T @ axes) ** 2).mean(1) for x in (usual[200:], odd)]
    print(f"{len(usual) - 200} usual, {len(odd)} unusual; AUC: pca {auc(*away):.4f}", flush=True)
    for name, parts in KINDS.items():
        tree = {
            "task": {"name": "autoencoding", "values": "values", "code_size": CODE, "flatten": name == "dense"},
            "data": {"train": "train.npz", "split": {"name": "random", "dev": 0.1, "test": 0}},
            "model": parts,
            "training": optimizer(epochs, 0.003, 16, seed),
        }
        api.train(tree, out=name, device="cpu")
        errors = [
            np.array([row["error"] for row in api.predict(name, api.read_for(name, f"{part}.npz"))])
            for part in ("usual", "odd")
        ]
        print(f"{name}: {auc(*errors):.4f}, mean error of usual rows {errors[0].mean():.4f}", flush=True)


def labels(
    folder: Path, texts: int, few: int, epochs: int, seeds: int, *, one_network: bool, judged: int, passes: int
) -> None:
    with gzip.open(folder / "imdb_train.csv.gz", "rt") as file:
        train = list(csv.DictReader(file))
    with gzip.open(folder / "imdb_test.csv.gz", "rt") as file:
        test = list(csv.DictReader(file))
    random.Random(0).shuffle(train)
    random.Random(1).shuffle(test)
    parts = {"few": train[:few], "dev": train[few : few + 500], "texts": train[few + 500 : few + 500 + texts]}
    for name, rows in {**parts, "test": test[:judged]}.items():
        with open(f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, ("label", "text"), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    cut = {"tokenizer": {"name": "words", "lowercase": True}, "max_vocabulary": 8000}
    encoder = {"name": "recurrent", "cell": "lstm", "hidden_size": 64}
    shared: dict[str, Any] = {"decoder": {"embedding_size": 64}}
    if one_network:
        writes = {"style": "sutskever", "attention": "none", "bridge": "mean", "readout": "state", "tie": "all"}
        shared = {"decoder": {"name": "recurrent", "embedding_size": 64, **writes}, "share_layers": True}
        encoder["bidirectional"] = False
    again = {
        "task": {"name": "text_autoencoding", **cut, "max_length": 60, "code_size": 64},
        "data": {"train": "texts.csv", "dev": "dev.csv"},
        "model": {"inputs": {"embedding_size": 64}, "encoder": encoder, **shared},
        "training": optimizer(epochs, 0.003, 64, 1),
    }
    api.train(again, out="autoencoder", device="cpu")
    classifier = {
        "task": {"name": "classification", **cut, "max_length": 200},
        "data": {"train": "few.csv", "dev": "dev.csv"},
        "model": {
            "inputs": {"embedding_size": 64},
            "encoder": {**encoder, "bidirectional": False},
            "head": {"pooling": "max"},
        },
    }
    ways = {"nothing": {}, "vectors alone": {"init_layers": 0}, "encoder": {}}
    for way, options in ways.items():
        found = []
        for seed in range(1, seeds + 1):
            training = {**optimizer(passes, 0.002, 16, seed), **options}
            if way != "nothing":
                training["init_from"] = "autoencoder"
            out = f"{way}-{seed}"
            api.train({**classifier, "training": training}, out=out, device="cpu")
            scores = api.evaluate(out, "test.csv").scores
            found.append(next(score.value for score in scores if score.name == "accuracy"))
        each = " ".join(f"{one:.4f}" for one in found)
        print(f"{few} labels, begins with {way}: accuracy {np.mean(found):.4f} ({each})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("use", choices=("heartbeats", "labels"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=6000)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--judged", type=int, default=3000, help="test reviews")
    parser.add_argument("--passes", type=int, default=12, help="epochs of the classifier")
    args = parser.parse_args()
    data = args.data.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
        if args.use == "heartbeats":
            heartbeats(data, args.epochs or 60, args.seed)
        else:
            labels(
                data, args.texts, args.labels, args.epochs or 5, args.seeds,
                one_network=args.shared, judged=args.judged, passes=args.passes,
            )  # fmt: skip


if __name__ == "__main__":
    main()
