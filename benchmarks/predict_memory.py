"""Predict many rows, at two sizes of the data: the peak of memory, which is not to grow.

    python benchmarks/predict_memory.py --folder DIR                 20,000 and 200,000 rows
    python benchmarks/predict_memory.py --folder DIR --rows 100000   that many and ten times as many

A small classifier is trained; then `recurra predict RUN --input 'big/*.parquet' --output out/` runs in a process of its
own for each size, with the rows in four files, and in one. Each file is one row group, the largest piece that
Parquet has. Peak is the process's resident memory at its largest (ru_maxrss), which counts the file pages that it maps.
Files are deleted at the end. Needs pyarrow.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

WORDS = [f"word{number}" for number in range(2_000)]
CONFIG = """
task: {name: classification}
data: {train: train.csv}
model: {encoder: {hidden_size: 32}, inputs: {embedding_size: 16}}
training: {epochs: 1}
"""


def text(drawn: random.Random, label: int) -> str:
    """A dozen words, one of which tells the label."""
    return " ".join([*drawn.choices(WORDS, k=12), f"label{label}"])


def trained(folder: Path) -> None:
    """A run of 500 rows."""
    drawn = random.Random(1)
    rows = [f"{text(drawn, number % 3)},c{number % 3}" for number in range(500)]
    (folder / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "config.yaml").write_text(CONFIG)
    called(folder, "train", "config.yaml", "--out", "run")


def parts(folder: Path, rows: int, files: int) -> int:
    """Parquet files of so many rows in all; their bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    drawn = random.Random(2)
    for place in range(files):
        texts = [text(drawn, number % 3) for number in range(rows // files)]
        ids = list(range(len(texts)))
        pq.write_table(
            pa.table({"id": ids, "text": texts}), folder / f"part-{place}.parquet", row_group_size=len(texts)
        )
    return sum(path.stat().st_size for path in folder.iterdir())


def called(folder: Path, *words: str) -> tuple[float, float]:
    """Run the program; its peak in MiB and its seconds of CPU."""
    command = [sys.executable, "-m", "recurra", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, f"failed: {' '.join(command)}"
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    folder = options.folder / "predict-memory"
    folder.mkdir()
    try:
        trained(folder)
        print("| files | rows | MB of Parquet | MB of answers | MiB peak | rows per CPU second | s |")
        for files in (4, 1):
            for rows in (options.rows, 10 * options.rows):
                size, began = parts(folder / "big", rows, files), time.perf_counter()
                peak, seconds = called(folder, "predict", "run", "--input", "big/*.parquet", "--output", "out/")
                made = [path for path in (folder / "out").iterdir() if path.suffix == ".jsonl"]
                assert sum(len(path.read_text().splitlines()) for path in made) == rows, "a row is missing"
                print(
                    f"| {files} | {rows:,} | {size / 1e6:,.1f} | {sum(p.stat().st_size for p in made) / 1e6:,.1f} | "
                    f"{peak:,.0f} | {rows / seconds:,.0f} | {time.perf_counter() - began:,.0f} |",
                    flush=True,
                )
                shutil.rmtree(folder / "big")
                shutil.rmtree(folder / "out")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
