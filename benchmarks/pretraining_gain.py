"""What pre-training on own texts gains: the same network begun at random and with the weights of a run.

    python benchmarks/pretraining_gain.py --data DIR --untrained RUN --trained RUN [--sets sst2:500] [--seeds 1,2]

DIR holds sst2, ud_english_ewt and ncbi_disease (see examples/README.md). Both runs are of masked_lm, with the same
pieces and the same network: the untrained one was stopped after a few steps (training.hours=0.001). A set's number is
of training sentences, 0 for all; each is trained by the rates that are given, the best dev score is tested.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from defaults import Files, ewt, ncbi_disease, sst2

from recurra import api

MAKERS = {"sst2": sst2, "ud_english_ewt": ewt, "ncbi_disease": ncbi_disease}
SCORES = {"sst2": "accuracy", "ud_english_ewt": "token_accuracy", "ncbi_disease": "f1_micro"}
STEPS, LEAST, MOST = 1000, 4, 20  # as many epochs as make so many steps, within limits
ROWS = 32


def config(name: str, files: Files, sentences: int) -> dict[str, Any]:
    """A task of which everything that the run tells is left open."""
    found = {key: str(path) for key in ("train", "dev", "test") if (path := getattr(files, key)) is not None}
    epochs = min(max(STEPS * ROWS // sentences, LEAST), MOST) if sentences else LEAST
    tasks: dict[str, Any] = {
        "sst2": {"task": "classification", "model": {"head": {"pooling": "mean"}}},
        "ud_english_ewt": {
            "task": {"name": "tagging", "tokens": "form", "tags": "upos"},
            "model": {"head": {"output": "softmax"}},
        },
        "ncbi_disease": {"task": {"name": "tagging", "scheme": "iobes"}, "model": {"head": {"output": "crf"}}},
    }
    training = {"epochs": epochs, "batch_rows": ROWS, "patience": None, "report": "scores"}
    return {**tasks[name], "data": found, "training": training}


def lines(args: argparse.Namespace) -> Iterator[str]:
    yield "| set | sentences | begun with | seed | rate | dev | test |\n|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for one, seed in itertools.product(args.sets, args.seeds):
            name, sentences = one.split(":")
            files = MAKERS[name](int(sentences) or None)(args.data, scratch)
            for word in ("untrained", "trained"):
                tried = [scored(name, files, int(sentences), getattr(args, word), seed, lr) for lr in args.rates]
                dev, test, lr = max(tried)
                yield f"| {name} | {int(sentences) or 'all'} | {word} | {seed} | {lr} | {dev:.4f} | {test:.4f} |"


def scored(name: str, files: Files, sentences: int, run: Path, seed: int, lr: float) -> tuple[float, float, float]:
    """Scores of dev and test, and the rate."""
    given = [f"training.init_from={run}", f"training.seed={seed}", f"training.optimizer.lr={lr}"]
    with tempfile.TemporaryDirectory() as out:
        report = api.train(config(name, files, sentences), out=Path(out) / "run", overrides=given).report
    assert report is not None
    found = {s.split: s.value for s in report.scores if s.name == SCORES[name]}
    return found["dev"], found["test"], lr


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--untrained", type=Path, required=True)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    parser.add_argument("--rates", type=lambda text: [float(one) for one in text.split(",")], default=[3e-4, 1e-3])
    parser.add_argument(
        "--sets",
        type=lambda text: text.split(","),
        default=["sst2:500", "sst2:2000", "sst2:0", "ud_english_ewt:1000", "ncbi_disease:0"],
    )
    for line in lines(parser.parse_args(arguments)):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
