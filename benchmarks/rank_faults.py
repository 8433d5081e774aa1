"""Kill or stop one of several ranks at a random moment; each run must end, by itself, as an undisturbed one does.

    python benchmarks/rank_faults.py [--runs 20] [--ranks 2] [--seed 1] [--timeout 5] [--epochs 6] [--rows 2000]

Each run trains a classifier with dropout on names that every machine has, on several ranks. A random rank gets SIGKILL
or SIGSTOP at a random moment between the start of the first run's processes and its end, so also while Python starts.
The exit code is 0 if every run has the weights, the scores and the log of the undisturbed one, bit for bit, else 1.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from kills import KEPT, contents, write_names

from recurra import api
from recurra.api.callbacks import NoCallback
from recurra.base.atomic import write_text

CONFIG = """\
task: {{text: name, label: language, tokenizer: characters}}
data: {{train: {folder}/train.csv, dev: {folder}/dev.csv, test: {folder}/test.csv}}
model:
  inputs: {{embedding_size: 16, embedding_dropout: 0.1}}
  encoder: {{hidden_size: 32}}
  head: {{pooling: max, output_dropout: 0.2}}
training: {{epochs: {epochs}, patience: null, checkpoint_every: 20}}
"""
TROUBLES = (signal.SIGKILL, signal.SIGSTOP)


class Notes(NoCallback):
    """Keeps what was said of restarts."""

    def __init__(self) -> None:
        self.restarts: list[str] = []

    def note(self, message: str) -> None:
        if "restart" in message:
            self.restarts.append(message)


def main() -> int:
    asked = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_names(folder, asked.rows)
        write_text(folder / "config.yaml", CONFIG.format(folder=folder, epochs=asked.epochs))
        train(folder, "whole", asked, Notes())
        begin = time.monotonic()
        train(folder, "again", asked, Notes())  # as long as the next ones: the first one loads torch from the disk
        length = time.monotonic() - begin
        same_again = equal_to_whole(folder / "again")
        print(f"undisturbed: {length:.1f} s on {asked.ranks} ranks; twice {'equal' if same_again else 'NOT EQUAL'}")
        rng, same = random.Random(asked.seed), 0
        for number in range(1, asked.runs + 1):
            trouble, rank, moment = rng.choice(TROUBLES), rng.randrange(asked.ranks), rng.uniform(0.2, length)
            threading.Thread(target=disturb, args=(moment, rank, trouble), daemon=True).start()
            notes, begin = Notes(), time.monotonic()
            train(folder, f"run-{number}", asked, notes)
            equal = equal_to_whole(folder / f"run-{number}")
            same += equal
            said = notes.restarts[0].partition(";")[0] if notes.restarts else "had ended before"
            print(
                f"run {number}: {trouble.name} to rank {rank} after {moment:.1f} s: {said}; ended after "
                f"{time.monotonic() - begin:.1f} s, {'equal' if equal else 'NOT EQUAL'}",
                flush=True,
            )
    print(f"{same} of {asked.runs} runs equal the undisturbed one, bit for bit")
    return 0 if same == asked.runs and same_again else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of moments, ranks and signals")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds without a heartbeat")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rows", type=int, default=2000, help="rows to train on")
    return parser.parse_args()


def train(folder: Path, name: str, asked: argparse.Namespace, watch: Notes) -> None:
    distributed = api.Distributed(asked.ranks, timeout=asked.timeout)
    api.train(folder / "config.yaml", out=folder / name, distributed=distributed, watch=watch)


def disturb(seconds: float, rank: int, trouble: signal.Signals) -> None:
    """Send a signal to one of this process's children, if it has any by then."""
    time.sleep(seconds)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
    if rank < len(children):
        os.kill(int(children[rank]), trouble)


def equal_to_whole(run: Path) -> bool:
    """Whether a run beside the undisturbed one, `whole`, has what that has, bit for bit."""
    return all(contents(run, name) == contents(run.parent / "whole", name) for name in KEPT)


if __name__ == "__main__":
    sys.exit(main())
