"""Train on data that is larger than memory: rows a second, and the most memory of all processes together.

    python benchmarks/large.py --rows 20000000 --folder DIR            make the rows, train, print a line of a table
    python benchmarks/large.py --rows 1000000 --folder DIR --steps 300
    python benchmarks/large.py --task translation --rows 1000000 --folder DIR        or language_model, tagging

DIR takes the corpus (65 bytes a row) and what is prepared of it. Rows are made from a seed: a text of 4 to 20 words of
50,000, and what its task wants beside it: a label, to which some words lean; the words backwards; a tag for each; of a
language model nothing, as all rows are one text. Both files are deleted at the end. Memory is resident memory (PSS,
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
from statistics import fmean
from typing import Any

MIB = 2**20
WORDS, CLASSES = 50_000, 4


def in_csv(number: int, words: Any) -> str:
    """A label, and a text."""
    return f"c{number},{' '.join(words)}\n"


def backwards(number: int, words: Any) -> str:
    """A text, and the same backwards."""
    return f"{' '.join(words)},{' '.join(words[::-1])}\n"


def alone(number: int, words: Any) -> str:
    """A line of a text."""
    return f"{' '.join(words)}\n"


def tagged(number: int, words: Any) -> str:
    """Words, and a tag for each: the last letter of the word."""
    return f"{' '.join(words)},{' '.join(word[-1] for word in words)}\n"


# The row of a task, the first line of its file, and the options of the task.
TASKS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "classification": (in_csv, "label,text\n", {"tokenizer": "spaces", "max_vocabulary": 30_000}),
    "translation": (
        backwards,
        "source,target\n",
        {"source_tokenizer": "spaces", "max_vocabulary": 4_000, "vocabulary": "shared"},
    ),
    "language_model": (alone, "", {"tokenizer": "spaces", "max_vocabulary": 4_000}),
    "tagging": (tagged, "token,tag\n", {"tokenizer": "spaces", "max_vocabulary": 30_000}),
}


def make(path: Path, rows: int, task: str, seed: int = 1) -> None:
    """A file of rows."""
    import numpy as np

    random = np.random.default_rng(seed)
    words = np.array([f"w{number:x}" for number in range(WORDS)], dtype=object)
    with open(path, "w", encoding="ascii") as file:
        row, head, _ = TASKS[task]
        file.write(head)
        for start in range(0, rows, 100_000):
            number = min(100_000, rows - start)
            labels, lengths = random.integers(0, CLASSES, number), random.integers(4, 21, number)
            # Squared: few words are frequent and many are rare. One word of each text tells its label, nearly.
            chosen = (random.random(int(lengths.sum())) ** 2 * (WORDS - CLASSES * 10)).astype(int) + CLASSES * 10
            ends = lengths.cumsum()
            chosen[ends - 1] = labels * 10 + random.integers(0, 10, number)
            texts = words[chosen]
            lines = (
                row(label, texts[end - length : end])
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


def measure(corpus: Path, folder: Path, task: str, rows: int, steps: int, store: str) -> dict[str, Any]:
    """Prepare the corpus, and train so many steps of an epoch of it."""
    from recurra.api.inference import device_of
    from recurra.api.prepare import prepare
    from recurra.api.schema import read_settings
    from recurra.api.trainer import Trainer

    config = {
        "task": {"name": task, **TASKS[task][2]},
        "data": {
            "train": str(corpus), "store": store, **({"scratch": str(folder)} if store != "memory" else {}),
            "split": {"name": "ordered" if task == "language_model" else "random", "dev": 0.0005, "test": 0.0005},
        },
        "model": {
            "inputs": {"embedding_size": 32}, "encoder": {"hidden_size": 32},
            **({"decoder": {"hidden_size": 32}} if task == "translation" else {}),
        },
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
        "rows": rows, "seconds": seconds, "before": before / MIB,
        "peak": memory.peak / MIB, "own": memory.own / MIB,
        "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "stages": {k: [round(v / MIB), round(stages.seconds.get(k, 0.0))] for k, v in memory.stages.items()},
        "steps/s": steps / (time.perf_counter() - began),
        "loss": [fmean(losses[:50]), fmean(losses[-50:])],
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=tuple(TASKS), default="classification")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--store", choices=("disk", "memory"), default="disk")
    options = parser.parse_args()
    corpus = options.folder / f"rows-{options.rows}.{'txt' if options.task == 'language_model' else 'csv'}"
    began = time.perf_counter()
    make(corpus, options.rows, options.task)
    size = corpus.stat().st_size
    print(f"{options.rows:,} rows, {size:,} bytes, made in {time.perf_counter() - began:.0f} s", flush=True)
    try:
        found = measure(corpus, options.folder, options.task, options.rows, options.steps, options.store)
    finally:
        corpus.unlink()
    print(json.dumps(found))
    print(
        f"| {options.task} | {found['rows']:,} | {size / MIB:,.0f} | {options.store} | {found['seconds']:,.0f} | "
        f"{found['rows'] / found['seconds']:,.0f} | {found['before']:,.0f} | {found['peak']:,.0f} | "
        f"{found['steps/s']:,.1f} |"
    )


if __name__ == "__main__":
    main()
