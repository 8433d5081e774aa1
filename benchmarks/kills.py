"""Kill a training with SIGKILL at random moments, resume it each time, compare it with an undisturbed one, bit for bit.

    python benchmarks/kills.py [--kills 25] [--seed 1] [--cell lstm] [--epochs 3] [--rows 2000] [--keep FOLDER]

Each training is `recurra train` in a process of its own: a character-level bidirectional classifier with dropout of
every kind and shuffled batches, on names that every machine has. A kill comes at a random moment between the start of
the process and the end of the training, so also while Python starts, while data is read, during a save, before the
first checkpoint, and while the report is written; more than once in an epoch, where they fall so. The exit code is 0
if every resumed training ended with the same weights, scores and log, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recurra import api
from recurra.base.atomic import write_text

# Kills that one training suffers before it is let go to its end; then the next one begins.
KILLS_OF_ONE = 5

CONFIG = """\
task: {{text: name, label: language, tokenizer: characters, class_weights: balanced}}
data: {{train: train.csv, dev: dev.csv, test: test.csv}}
model:
  inputs: {{embedding_size: 16}}
  encoder: {{cell: {cell}, hidden_size: 32, num_layers: 2, dropout: 0.2, variational_dropout: 0.1, zoneout: 0.05}}
  head: {{pooling: max, output_dropout: 0.2}}
training:
  epochs: {epochs}
  patience: null
  checkpoint_every: 10
  schedule: {{name: plateau, patience: 1}}
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """seconds: after the start of the process; step: of the newest line in the log then, 0 if there was none."""

    seconds: float
    step: int


def main() -> int:
    asked = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        write_names(folder, asked.rows)
        write_text(folder / "config.yaml", CONFIG.format(cell=asked.cell, epochs=asked.epochs))
        begin = time.monotonic()
        train(folder, "whole", None)
        length = time.monotonic() - begin
        print(f"undisturbed: {length:.1f} s, {steps_of(folder / 'whole')} steps", flush=True)
        kills, same, number = 0, True, 0
        for number, hits in enumerate(trainings(folder, asked.kills, length, random.Random(asked.seed)), start=1):
            equal = {
                name: contents(folder / f"run-{number}", name) == contents(folder / "whole", name) for name in KEPT
            }
            kills, same = kills + len(hits), same and all(equal.values())
            moments = ", ".join(f"{hit.seconds:.1f} s (step {hit.step})" for hit in hits)
            different = ", ".join(name for name, is_equal in equal.items() if not is_equal)
            print(f"run {number}: killed after {moments or 'its end'}: {different or 'nothing'} differs", flush=True)
    print(f"{kills} kills, {kills} resumes, {number} runs: {'equal, bit for bit' if same else 'NOT EQUAL'}")
    return 0 if same else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000, help="rows to train on")
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    return parser.parse_args()


def write_names(folder: Path, rows: int) -> None:
    """train.csv with so many rows of the names that every machine has, dev.csv and test.csv with a fifth of that."""
    for path in api.data_export("names", folder):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        wanted = rows if "train" in path.stem else rows // 5
        every = max(len(lines) // wanted, 1)
        write_text(folder / f"{path.stem.rpartition('_')[2]}.csv", "".join([lines[0], *lines[1::every]]))


def trainings(folder: Path, kills: int, length: float, rng: random.Random) -> Iterator[Sequence[Kill]]:
    """One training after the other, each killed a few times and then let go to its end, until there were enough."""
    number = done = 0
    while done < kills:
        number += 1
        hits: list[Kill] = []
        while len(hits) < min(KILLS_OF_ONE, kills - done):
            hit = train(folder, f"run-{number}", rng.uniform(0, length))
            if hit is None:
                break  # it ended before its time came
            hits.append(hit)
        else:
            train(folder, f"run-{number}", None)
        done += len(hits)
        yield hits


def train(folder: Path, name: str, seconds: float | None) -> Kill | None:
    """Begin a training, or go on with what is there of it; kill it after `seconds`, unless it has ended before."""
    begun = (folder / name / "run.json").exists()
    words = ["train", *(["--resume", name] if begun else ["config.yaml", "--out", name]), "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "recurra", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return Kill(seconds or 0.0, steps_of(folder / name))
    if process.returncode != 0:
        raise SystemExit(f"{name}: exit code {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return None


def steps_of(run: Path) -> int:
    """The step of the newest line of the log."""
    lines = (run / "log.jsonl").read_text("utf-8").splitlines() if (run / "log.jsonl").exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


KEPT = ("model.safetensors", "scores.json", "log.jsonl")


def contents(run: Path, name: str) -> object:
    """A file of a run, without what depends on the clock."""
    data = (run / name).read_bytes()
    if name != "log.jsonl":
        return data
    lines = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "tokens_per_second"} for line in lines]


if __name__ == "__main__":
    sys.exit(main())
