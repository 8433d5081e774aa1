"""Train on data that is larger than memory: rows a second, and the most memory of all processes together.

    python benchmarks/large.py --rows 20000000 --folder DIR            make the rows, train, print a line of a table
    python benchmarks/large.py --rows 1000000 --folder DIR --steps 300

DIR takes the corpus (65 bytes a row) and what is prepared of it. Rows are made from a seed: a label, and a text of 4 to
20 words of 50,000, of which some lean to one label. Both files are deleted at the end. Memory is resident memory (PSS,
where what two processes share counts once) of this process and those that it starts, looked at five times a second;
beside it stands that of this process after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import Any

MIB = 2**20
WORDS, CLASSES = 50_000, 4


def make(path: Path, rows: int, seed: int = 1) -> None:
    """A CSV file of rows."""
    import numpy as np

    random = np.random.default_rng(seed)
    words = np.array([f"w{number:x}" for number in range(WORDS)], dtype=object)
    with open(path, "w", encoding="ascii") as file:
        file.write("label,text\n")
        for start in range(0, rows, 100_000):
            number = min(100_000, rows - start)
            labels, lengths = random.integers(0, CLASSES, number), random.integers(4, 21, number)
            # Squared: few words are frequent and many are rare. One word of each text tells its label, nearly.
            chosen = (random.random(int(lengths.sum())) ** 2 * (WORDS - CLASSES * 10)).astype(int) + CLASSES * 10
            ends = lengths.cumsum()
            chosen[ends - 1] = labels * 10 + random.integers(0, 10, number)
            texts = words[chosen]
            lines = (
                f"c{label},{' '.join(texts[end - length : end])}\n"
                for label, length, end in zip(labels.tolist(), lengths.tolist(), ends.tolist(), strict=True)
            )
            file.writelines(lines)


class Memory(threading.Thread):
    """The most resident memory of this process and its children, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.own, self.stage = 0, 0, ""
        self.stages: dict[str, int] = {}

    def run(self) -> None:
        while True:
            own = _pss(os.getpid())
            whole = own + sum(map(_pss, _children(os.getpid())))
            self.peak, self.own = max(self.peak, whole), max(self.own, own)
            self.stages[self.stage] = max(self.stages.get(self.stage, 0), whole)
            time.sleep(0.2)


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _pss(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


class Stages:
    """Tells the memory which stage it is, and how long each took."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.began, self.seconds, self.speed = memory, time.perf_counter(), {}, 0.0

    def _enter(self, stage: str) -> None:
        now = time.perf_counter()
        if stage != self.memory.stage:
            self.seconds[self.memory.stage] = self.seconds.get(self.memory.stage, 0.0) + now - self.began
            self.memory.stage, self.began = stage, now
            print(f"{time.strftime('%H:%M:%S')} {stage}", flush=True)

    def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None:
        self._enter(stage)

    def note(self, message: str) -> None:
        print(" ", message, flush=True)

    def start(self, total_steps: int, epochs: int) -> None:
        self._enter("training")

    def step(self, progress: Any, speed: float, seconds_left: float) -> None:
        self.speed = speed

    def scores(self, epoch: int, scores: Any, is_best: bool) -> None: ...
    def done(self) -> None: ...


def measure(corpus: Path, folder: Path, steps: int, store: str) -> dict[str, Any]:
    """Prepare the corpus, and train so many steps of an epoch of it."""
    from recurra.api.inference import device_of
    from recurra.api.prepare import prepare
    from recurra.api.schema import read_settings
    from recurra.api.trainer import Trainer

    config = {
        "task": {"name": "classification", "tokenizer": "spaces", "max_vocabulary": 30_000},
        "data": {
            "train": str(corpus), "store": store, **({"scratch": str(folder)} if store != "memory" else {}),
            "split": {"name": "random", "dev": 0.0005, "test": 0.0005},
        },
        "model": {"inputs": {"embedding_size": 32}, "encoder": {"hidden_size": 32}},
        "training": {"epochs": 1, "batch_rows": 64},
    }  # fmt: skip
    memory = Memory()
    stages = Stages(memory)
    memory.start()
    time.sleep(0.5)
    before, began = memory.peak, time.perf_counter()
    prepared = prepare(read_settings(config), stages)  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    stages.start(steps, 1)
    train = prepared.splits["train"]
    trainer = Trainer(read_settings(config), prepared.task, train, device_of("cpu"), prepared.fingerprint)
    losses = []
    began = time.perf_counter()
    for number, progress in enumerate(trainer.steps(), start=1):
        losses.append(float(progress.loss))
        if number == steps:
            break
    stages._enter("end")
    return {
        "rows": sum(map(len, prepared.splits.values())), "seconds": seconds, "before": before / MIB,
        "peak": memory.peak / MIB, "own": memory.own / MIB,
        "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "stages": {k: [round(v / MIB), round(stages.seconds.get(k, 0.0))] for k, v in memory.stages.items()},
        "train rows/s": steps * 64 / (time.perf_counter() - began),
        "loss": [sum(losses[:50]) / 50, sum(losses[-50:]) / 50],
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--store", choices=("disk", "memory"), default="disk")
    options = parser.parse_args()
    corpus = options.folder / f"rows-{options.rows}.csv"
    began = time.perf_counter()
    make(corpus, options.rows)
    size = corpus.stat().st_size
    print(f"{options.rows:,} rows, {size:,} bytes, made in {time.perf_counter() - began:.0f} s", flush=True)
    try:
        found = measure(corpus, options.folder, options.steps, options.store)
    finally:
        corpus.unlink()
    print(json.dumps(found))
    print(
        f"| {found['rows']:,} | {size / MIB:,.0f} | {options.store} | {found['seconds']:,.0f} | "
        f"{found['rows'] / found['seconds']:,.0f} | {found['before']:,.0f} | {found['peak']:,.0f} | "
        f"{found['train rows/s']:,.0f} |"
    )


if __name__ == "__main__":
    main()
