"""Replies on the Self-dialogue Corpus: trains, and prints the test scores beside the baselines, as a line of JSON.

    python benchmarks/dialogue.py dialogue --data FOLDER [--seed 1] [--conversations 5000] [--set KEY=VALUE]

dialogue             replies that are written: encoder, attention, decoder
decoder_only         replies that are written: a language model
response_selection   replies that are chosen: two encoders

FOLDER holds self_dialogue.jsonl.gz ({topic, worker, turns}). Split by worker, so that nobody of the test wrote anything
to learn from: of int(worker[:8], 16) modulo 10, 0 is test, 1 dev. Of each the first conversations by the SHA-1 of what
they say; --conversations bounds those to learn from, dev and test have 300 and 600.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from recurra import api

DEV, TEST = 300, 600
COMMON: dict[str, Any] = {
    "epochs": 3, "batch_rows": 64, "optimizer": {"name": "adam", "lr": 0.002},
    "schedule": {"name": "cosine", "warmup": 0.05}, "patience": None,
}  # fmt: skip
PIECES: dict[str, Any] = {"name": "subwords", "vocab_size": 4000, "lowercase": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "dialogue": {
        "task": {"name": "dialogue", "tokenizer": PIECES, "max_context_tokens": 64},
        "model": {
            "inputs": {"embedding_size": 192, "embedding_dropout": 0.1},
            "encoder": {"cell": "gru", "hidden_size": 128, "num_layers": 1},
            "decoder": {"embedding_size": 192, "output_dropout": 0.1, "tie": "all"},
        },
        "training": COMMON,
    },
    "decoder_only": {
        "task": {"name": "dialogue", "tokenizer": PIECES, "max_context_tokens": 64},
        "model": {
            "name": "decoder_only",
            "inputs": {"embedding_size": 192, "embedding_dropout": 0.1},
            "encoder": {"cell": "lstm", "hidden_size": 192},
            "head": {"output_dropout": 0.1},
        },
        "training": COMMON,
    },
    "response_selection": {
        "task": {"name": "response_selection", "tokenizer": PIECES, "max_context_tokens": 64},
        "model": {
            "inputs": {"embedding_size": 128, "embedding_dropout": 0.1},
            "encoder": {"cell": "gru", "hidden_size": 128, "num_layers": 1},
        },
        "training": COMMON | {"batch_rows": 128},
    },
}


def split_of(worker: str) -> str:
    """train, dev or test."""
    return {0: "test", 1: "dev"}.get(int(worker[:8], 16) % 10, "train")


def write_parts(data: Path, folder: Path, most: int) -> dict[str, str]:
    """The files of the splits, as JSONL."""
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    with gzip.open(data / "self_dialogue.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            one = json.loads(line)
            rows[split_of(one["worker"])].append((hashlib.sha1("\n".join(one["turns"]).encode()).hexdigest(), line))
    bounds = {"train": most, "dev": DEV, "test": TEST}
    for name, found in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(line for _, line in sorted(found)[: bounds[name]]), "utf-8")
    return {name: str(folder / f"{name}.jsonl") for name in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=tuple(CONFIGS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--conversations", type=int, default=5000)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--out", type=Path, default=Path("runs/self-dialogue"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = write_parts(args.data, Path(scratch), args.conversations)
        config = CONFIGS[args.model] | {"data": {**files, "on_error": "skip"}}
        overrides = [f"training.seed={args.seed}", *args.overrides]
        begun, used = time.monotonic(), time.process_time()
        trained = api.train(config, out=args.out, overrides=overrides, device="cpu")
        report = trained.report
    found = {
        "model": args.model,
        "seed": args.seed,
        "seconds": round(time.monotonic() - begun),
        "cpu_seconds": round(time.process_time() - used),
        "scores": {s.name: s.value for s in report.scores if s.split == "test"},
        "baselines": {
            name: {s.name: s.value for s in scores if s.split == "test"} for name, scores in report.baselines.items()
        },
        "threshold": report.facts.get("threshold"),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
