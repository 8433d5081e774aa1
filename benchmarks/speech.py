"""Speech to text on AN4 (features of CMU's archive) and on yesno (OpenSLR 1): trains, and prints the test scores.

python benchmarks/speech.py an4 --data FOLDER      of etc/ and of the feat/ that an4_mfcc.tar.gz holds
python benchmarks/speech.py yesno --data FOLDER    of the 60 sounds of waves_yesno.tar.gz; with what `init` writes
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from recurra import api

# The usual dev set: the first 100 utterances of train.
AN4_DEV = 100
AN4: dict[str, Any] = {
    "task": {
        "name": "transcription", "tokenizer": "spaces", "stack": 3, "speed": 0.1,
        "time_masks": 2, "time_mask_width": 25, "band_masks": 1, "band_mask_width": 3,
    },
    "model": {
        "encoder": {"cell": "gru", "hidden_size": 160, "num_layers": 3, "dropout": 0.3, "bidirectional": True},
        "head": {"output_dropout": 0.3},
    },
    "training": {
        "epochs": 60, "batch_rows": 8, "batch_tokens": 4096, "optimizer": {"name": "adam", "lr": 0.002},
        "schedule": {"name": "cosine", "warmup": 0.05}, "patience": None, "select": "wer", "average_decay": 0.995,
    },
}  # fmt: skip
Rows = Sequence[tuple[str, str]]


def an4(data: Path) -> dict[str, Rows]:
    """The official split: files of features with their words."""
    parts = {}
    for name in ("train", "test"):
        said = {}
        for line in (data / "etc" / f"an4_{name}.transcription").read_text().splitlines():
            text, utterance = re.fullmatch(r"(.*)\((\S+)\)\s*", line).groups()  # type: ignore[union-attr]
            said[utterance] = " ".join(word for word in text.split() if word not in ("<s>", "</s>"))
        ids = (data / "etc" / f"an4_{name}.fileids").read_text().split()
        parts[name] = [(str(data / "feat" / f"{one}.mfc"), said[one.rpartition("/")[2]]) for one in ids]
    return {"dev": parts["train"][:AN4_DEV], "train": parts["train"][AN4_DEV:], "test": parts["test"]}


def yesno(data: Path) -> dict[str, Rows]:
    """By name the first half is for training, as Kaldi has it; dev is taken from it."""
    files = sorted(data.rglob("*.wav"))
    rows = [(str(f), " ".join("YES" if one == "1" else "NO" for one in f.stem.split("_"))) for f in files]
    return {"train": rows[: len(rows) // 2], "test": rows[len(rows) // 2 :]}


def trained(config: Mapping[str, Any] | None, parts: Mapping[str, Rows], seed: int, folder: Path) -> dict[str, float]:
    """The test scores of a training, its seconds, and those of the processor. config: None: what `init` writes"""
    for name, rows in parts.items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("audio", "text"), *rows])
    tree = yaml.safe_load(api.init("speech", folder / "train.csv")) if config is None else dict(config)
    tree["data"] = {name: str(folder / f"{name}.csv") for name in parts}
    begun, worked = time.perf_counter(), time.process_time()
    run = folder / f"run{seed}"
    api.train(tree, out=run, seed=seed)
    spent = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - worked}
    scores = api.evaluate(run, split="test").scores
    return {**{one.name: one.value for one in scores}, **spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("an4", "yesno"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    args = parser.parse_args()
    config, parts = (AN4, an4(args.data)) if args.what == "an4" else (None, yesno(args.data))
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"seed": seed, **trained(config, parts, seed, Path(folder))}), flush=True)


if __name__ == "__main__":
    main()
