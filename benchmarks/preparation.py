"""What it takes to prepare data: seconds, the most memory, and what is kept, by data set and by checkout.

    python benchmarks/preparation.py --data DIR                              this checkout
    python benchmarks/preparation.py --data DIR --before OTHER/src           another one beside it
    python benchmarks/preparation.py --data DIR --sets imdb --repeat 3       the medians of three runs, in turn

DIR holds a folder for each data set (examples/README.md). Each number comes from a process of its own, which reads the
config in examples/, prepares its data as `recurra train` does, and collates the batches of the first epoch. Memory is
resident memory above that of the process before it reads anything (Python, torch, recurra): at its highest, and when
all that is free was given back.
Workers (`data.workers`) have 39 MiB each beside it. `hash` tells whether two checkouts make the same batches.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SETS = ("imdb", "wikitext2", "ud_english_ewt", "multi30k_en_de")
MIB = 2**20


def measure(name: str, data: Path) -> dict[str, Any]:
    """Prepare one data set in this process."""
    from recurra.api.callbacks import NoCallback
    from recurra.api.prepare import prepare
    from recurra.api.schema import read_settings

    config = ROOT / "examples" / name / "config.yaml"
    overrides = []
    settings = read_settings(config)
    for split in ("train", "dev", "test"):
        if (path := settings.tree["data"].get(split)) is not None:
            overrides.append(f"data.{split}={data / Path(path).relative_to('data')}")
    settings = read_settings(config, overrides)
    before, started, clock = resident(), cpu(), time.perf_counter()
    prepared = prepare(settings, NoCallback())
    seconds, wall = cpu() - started, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    kept = resident()
    started = time.process_time()
    options = settings.training
    limits = {"batch_tokens": options.batch_tokens, "batch_rows": options.batch_rows, "seed": options.seed}
    sampler = prepared.task.sampler(prepared.splits["train"], **limits)
    batches = [sampler.batch(item) for item in sampler.plan(1)[:400]]
    collated = time.process_time() - started
    found = hashlib.sha256()
    for batch in batches:
        for part in (batch.inputs, batch.targets):
            for key in part:
                found.update(part[key].numpy().tobytes())
    return {
        "import": before / MIB, "seconds": seconds, "wall": wall,
        "peak": (peak - before) / MIB, "kept": (kept - before) / MIB,
        "batches": collated / max(len(batches), 1) * 1000, "hash": found.hexdigest()[:8],
    }  # fmt: skip


def cpu() -> float:
    """Seconds of CPU of this process and of those that it has started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def resident() -> int:
    """Bytes of this process in memory, when what is free has gone back to the system."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_a_process(name: str, data: Path, source: Path) -> dict[str, Any]:
    """The same, by the recurra of a checkout."""
    command = [sys.executable, __file__, "--data", str(data), "--one", name]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="src of another checkout")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.data)))
        return
    builds = {"before": options.before} if options.before else {}
    builds["this checkout"] = ROOT / "src"
    print("| set | checkout | seconds | of CPU | most memory, MiB | kept, MiB | ms a batch | hash |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.sets.split(","):
        runs: dict[str, list[dict[str, Any]]] = {build: [] for build in builds}
        for _ in range(options.repeat):  # in turn, so that whatever else the machine does is fair to both
            for build, source in builds.items():
                runs[build].append(in_a_process(name, options.data, source))
        for build, found in runs.items():
            best = {key: sorted(run[key] for run in found)[len(found) // 2] for key in found[0]}
            print(
                f"| {name} | {build} | {best['wall']:.1f} | {best['seconds']:.1f} | {best['peak']:,.0f} | "
                f"{best['kept']:,.0f} | {best['batches']:.2f} | {best['hash']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
