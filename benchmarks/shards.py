"""Read shards by rank: memory and disk of each rank, and the bytes that it reads of files, at two sizes of the data.

    python benchmarks/shards.py --folder DIR                             150,000 and 1,500,000 rows, two ranks
    python benchmarks/shards.py --folder DIR --rows 1000000 --ranks 4    that many and ten times as many
    python benchmarks/shards.py --folder DIR --buffer 10000              rows stay in their files

Ranks are processes of this machine that meet through a file. The rows are those of `large.py`, in 8 CSV files a size.
All ranks prepare the data, then train some steps of an epoch. Memory is resident memory (PSS) of the rank alone, looked
at five times a second; before: after the imports of the program. Disk is what files without a name take that the
rank has open, looked at as often. Files of DIR are deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from large import MIB, TASKS, Memory, make

FILES = 8


def parts(folder: Path, rows: int) -> int:
    """Make the files; their bytes."""
    folder.mkdir()
    for number in range(FILES):
        make(folder / f"part-{number}.csv", rows // FILES, "classification", seed=number + 1)
    return sum(path.stat().st_size for path in folder.iterdir())


class Disk(threading.Thread):
    """The most bytes of files without a name that this process has open."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, disk())
            time.sleep(0.2)


def disk() -> int:
    """Bytes of the files without a name that this process has open; a file counts once."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            one = os.fstat(int(name))
        except OSError:
            continue
        if stat.S_ISREG(one.st_mode) and not one.st_nlink:
            found[one.st_dev, one.st_ino] = one.st_size
    return sum(found.values())


def rows_counted() -> list[int]:
    """One number: rows that are read from now on."""
    from recurra.data.formats.cursor import Cursor

    before_row, parsed = Cursor.before_row, [0]

    def counted(cursor: Cursor, *given: Any) -> None:
        parsed[0] += 1
        before_row(cursor, *given)

    Cursor.before_row = counted  # type: ignore[method-assign]
    return parsed


def rank(number: int, size: int, folder: Path, steps: int, buffer: int | None) -> dict[str, Any]:
    """What one rank is like: memory and disk in MiB, files that it has opened, seconds, losses."""
    from recurra.api.callbacks import NoCallback
    from recurra.api.inference import device_of
    from recurra.api.prepare import prepare
    from recurra.api.schema import read_settings
    from recurra.api.trainer import Trainer
    from recurra.data.formats.shards import Shard
    from recurra.training import Group, SingleProcess

    here, opened, parsed = Shard.here, [], rows_counted()

    def noted(shard: Shard, scratch: str | None = None) -> Any:
        opened.append(shard.size)
        return here(shard, scratch)

    Shard.here = noted  # type: ignore[method-assign]
    group = Group(number, size, folder / "meeting") if size > 1 else SingleProcess()
    config = {
        "task": {"name": "classification", **TASKS["classification"][2]},
        "data": {
            "train": str(folder / "data/part-*.csv"), "format": "csv", "store": "disk", "scratch": str(folder),
            "shuffle_buffer": buffer,
            "split": {"name": "random", "dev": 0.0005, "test": 0.0005}, "workers": 1,
        },
        "model": {
            "inputs": {"embedding_size": 32, "embedding_dropout": 0.0}, "encoder": {"hidden_size": 32},
            "head": {"output_dropout": 0.0},
        },
        "training": {"epochs": 1, "batch_rows": 64, "optimizer": {"name": "sgd", "lr": 0.1}},
    }  # fmt: skip
    memory, used = Memory(), Disk()
    memory.start()
    used.start()
    time.sleep(0.5)
    before, began = memory.own, time.perf_counter()
    settings = read_settings(config)
    prepared = prepare(settings, NoCallback(), exchange=group if size > 1 else None)
    seconds, after = time.perf_counter() - began, memory.own
    train = prepared.splits["train"]
    trainer = Trainer(settings, prepared.task, train, device_of("cpu"), prepared.fingerprint, group)
    parsed[0], begun, losses = 0, time.process_time(), []
    for progress in trainer.steps():
        losses.append(float(progress.loss))
        if progress.step == steps:
            break
    spent = time.process_time() - begun
    time.sleep(0.3)
    left = disk()
    return {
        "rank": number, "before": before / MIB, "prepared": after / MIB, "peak": memory.own / MIB, "seconds": seconds,
        "files": len(opened), "bytes": sum(opened), "cpu": time.process_time(), "losses": losses,
        "parsed": parsed[0], "spent": spent,
        "disk": left / MIB, "disk_peak": used.peak / MIB,
    }  # fmt: skip


def measure(folder: Path, ranks: int, steps: int, buffer: int | None) -> list[dict[str, Any]]:
    """All ranks at once."""
    (folder / "meeting").unlink(missing_ok=True)
    words = [sys.executable, __file__, "--folder", str(folder), "--steps", str(steps), "--of", str(ranks)]
    words += [*([] if buffer is None else ["--buffer", str(buffer)]), "--rank"]
    started = [
        subprocess.Popen([*words, str(number)], stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        for number in range(ranks)
    ]
    found = [json.loads(process.communicate()[0]) for process in started]
    assert all(process.returncode == 0 for process in started), "a rank has failed"
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=150_000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--buffer", type=int)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        print(json.dumps(rank(options.rank, options.of, options.folder, options.steps, options.buffer)), flush=True)
        os._exit(0)
    print(
        "| rows | MB | ranks | rank | files read | MB read | MiB before | MiB prepared | MiB peak | MiB of the disk "
        "| at its peak | s | CPU s | rows parsed in the steps | CPU s of these |"
    )
    for rows in (options.rows, 10 * options.rows):
        size = parts(options.folder / "data", rows)
        try:
            losses = []
            for ranks in (1, options.ranks):
                for one in measure(options.folder, ranks, options.steps, options.buffer):
                    losses.append(one.pop("losses"))
                    print(
                        f"| {rows:,} | {size / 1e6:,.0f} | {ranks} | {one['rank']} | {one['files']} | "
                        f"{one['bytes'] / 1e6:,.0f} | {one['before']:,.0f} | {one['prepared']:,.0f} | "
                        f"{one['peak']:,.0f} | {one['disk']:,.1f} | {one['disk_peak']:,.1f} | "
                        f"{one['seconds']:,.0f} | {one['cpu']:,.0f} | {one['parsed']:,} | {one['spent']:,.2f} |",
                        flush=True,
                    )
            apart = max(abs(a - b) for a, b in zip(losses[0], losses[1], strict=True))
            print(f"losses of {len(losses[0])} steps, one process and ranks: {apart:.1e} apart at most")
        finally:
            shutil.rmtree(options.folder / "data")


if __name__ == "__main__":
    main()
