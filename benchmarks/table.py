"""What the engine is for, beside every installed peer, by one command.

python benchmarks/table.py --json FILE                 measure, write FILE, print Markdown
python benchmarks/table.py --before OLD --json FILE    beside an earlier run: times as fast as then
python benchmarks/table.py --from FILE --before OLD    print what was measured already
python benchmarks/table.py --parts train,loss          of: train, infer, norm, threads, memory, calls, loss

Each part is a process of `recurra bench`, since JAX takes its number of threads once, or of linear_cross_entropy.py. An
entry has recurra's time, its share of the FMA peak of the same minute, how many times as long the best peer takes, and
what each part of the work takes at least (`recurra.bench.roofline`): the largest is the bound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recurra.bench.row import geometric_mean

Row = dict[str, Any]
CELLS = "lstm,gru,rnn"
BENCH = [sys.executable, "-m", "recurra", "bench", "--json"]
LOSS = [sys.executable, str(Path(__file__).parent / "linear_cross_entropy.py"), "--json"]
CALLS = ["--grid", "1x1x64x64,100x1x64x64"]

# By part: threads, and the words for its command.
PARTS: dict[str, tuple[int, list[str]]] = {
    "train": (1, [*BENCH, "--modes", "train", "--cells", CELLS]),
    "infer": (1, [*BENCH, "--modes", "infer", "--cells", CELLS]),
    "norm": (1, [*BENCH, "--modes", "train", "--cells", "lstm_layernorm"]),
    "threads": (2, [*BENCH, "--modes", "bidirectional", "--cells", "lstm,gru", "--threads", "2"]),
    "memory": (1, [*BENCH, "--modes", "memory"]),
    "calls": (1, [*BENCH, "--modes", "infer,train", "--cells", CELLS, *CALLS]),
    "loss": (1, LOSS),
}


def main() -> int:
    """Measure or read, and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda s: s.split(","), default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring a line (default: 1)")
    parser.add_argument("--before", type=Path, help="JSON of an earlier run")
    parser.add_argument("--from", dest="made", type=Path, help="JSON of a run, instead of measuring")
    parser.add_argument("--json", type=Path, help="where to write this run")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"--parts: no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    run = json.loads(options.made.read_text()) if options.made else measured(options)
    before = json.loads(options.before.read_text()) if options.before else {}
    print("\n".join(page(run, before)))
    return 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """The rows of each part; written as each is done."""
    run: dict[str, Any] = {}
    for part in options.parts:
        threads, command = PARTS[part]
        words = [] if part == "memory" else ["--seconds", str(options.seconds * (5 if part == "loss" else 1))]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        print(f"{part} ...", file=sys.stderr)
        done = subprocess.run([*command, *words], check=True, stdout=subprocess.PIPE, text=True, env=environment)
        made = json.loads(done.stdout)
        run[part] = made if part == "loss" else made["rows"]
        if part != "loss":
            run.setdefault("machine", made["machine"])
        if options.json:
            options.json.write_text(json.dumps(run, indent=1))
    return run


def page(run: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    """Markdown, a table a part."""
    if machine := run.get("machine"):
        yield f"{machine['processor']}, {machine['cores']} cores, engine {machine['instruction_set']}."
    for part in PARTS:
        rows, old = run.get(part, []), before.get(part, [])
        if rows:
            yield from ("", f"### {part}", "", *TABLES.get(part, lines)(rows, old))
            if note := steadiness(rows, old):
                yield from ("", note)


def lines(rows: list[Row], before: list[Row]) -> Iterator[str]:
    """A line for each configuration, then the geometric means."""
    head = ["", "T, N, I, H", "recurra", "of the peak", "best peer", "products", "gates", "weights", "streams"]
    yield from heading([*head, *(["before", "times as fast"] if before else [])])
    earlier = {key(row): row for row in before}
    for row in rows:
        floors = row.get("floors") or {}
        parts = [f"{floors[name] / row['value']:.0%}" if name in floors else "" for name in head[5:]]
        if row.get("bound"):
            place = head[5:].index(row["bound"])
            parts[place] = f"**{parts[place]}**"
        entry = [*name_of(row), value(row), f"{row['share_of_peak']:.0%}", ratio(row), *parts]
        yield line([*entry, *(compared(row, earlier.get(key(row))) if before else [])])
    yield from ("", means(rows))


def memory(rows: list[Row], before: list[Row]) -> Iterator[str]:
    """A line for each cell."""
    yield from heading(["", "T, N, I, H", "recurra", "leanest peer", *(["before", "of before"] if before else [])])
    earlier = {key(row): row for row in before}
    for row in rows:
        old = compared(row, earlier.get(key(row))) if before else []
        yield line([*name_of(row), value(row), ratio(row), *old])


def calls(rows: list[Row], before: list[Row]) -> Iterator[str]:
    """Microseconds at one step and at 100; what a call of no steps would take."""
    head = ["", "1 step", "100 steps", "call itself", "best peer, 1 step", "best peer, 100 steps"]
    yield from heading([*head, *(["before: 1, 100 steps"] if before else [])])
    earlier = {key(row): row for row in before}
    for short, long in zip(rows[::2], rows[1::2], strict=True):
        a, b = 1e3 * short["value"], 1e3 * long["value"]
        old = [earlier.get(key(row)) for row in (short, long)]
        then = [", ".join(f"{1e3 * row['value']:.1f}" for row in old if row)] if before else []
        times = [f"{t:.1f} us" for t in (a, b, a - (b - a) / 99)]
        yield line([f"{long['mode']} {long['cell']}", *times, ratio(short), ratio(long), *then])


def loss(rows: list[Row], before: list[Row]) -> Iterator[str]:
    """Linear layer and cross-entropy beside torch."""
    yield from heading(["M, D, V", "recurra, of the peak", "torch", *(["before", "torch before"] if before else [])])
    for row, old in zip(rows, [*before, *[None] * len(rows)], strict=False):
        then = loss_entry(old) if old else []
        yield line([", ".join(map(str, row["M, D, V"])), *loss_entry(row), *then])


def loss_entry(row: Row) -> list[str]:
    ours = row["recurra"]
    return [f"{ours['milliseconds']:.1f} ms, {ours['share of peak']:.0%}", f"{row['times as fast as torch']:.2f}x"]


TABLES = {"memory": memory, "calls": calls, "loss": loss}


def steadiness(rows: list[Row], before: list[Row]) -> str:
    """How the peers' own times moved between the runs: what the machine did, and not the engine."""
    earlier = {key(row): row["peers"] for row in before if "peers" in row}
    moved = [
        row["peers"][name]["value"] / earlier[key(row)][name]["value"]
        for row in rows
        if "peers" in row
        for name in row["peers"].keys() & earlier.get(key(row), {}).keys()
    ]
    return f"Peers take {geometric_mean(moved):.2f}x as long as in the run before (geometric mean)." if moved else ""


def means(rows: list[Row]) -> str:
    """Of the ratios to the best peer of each line, by cell and in all."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["best_ratio"]:
            found.setdefault(row["cell"], []).append(row["best_ratio"])
    each = ", ".join(f"{cell} {geometric_mean(ratios):.2f}x" for cell, ratios in found.items())
    every = [ratio for ratios in found.values() for ratio in ratios]
    return (
        f"Geometric mean against the best peer of each line: {each}; all {geometric_mean(every):.2f}x." if every else ""
    )


def key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(word) for word in ("mode", "cell", "T", "N", "I", "H", "threads"))


def name_of(row: Row) -> list[str]:
    return [row["cell"], ", ".join(str(row[word]) for word in "TNIH")]


def value(row: Row) -> str:
    return f"{row['value']:.3g} {row['unit']}"


def ratio(row: Row) -> str:
    return f"{row['best_ratio']:.2f}x {row['best_peer']}" if row["best_peer"] else ""


def compared(row: Row, old: Row | None) -> list[str]:
    return [value(old), f"{old['value'] / row['value']:.2f}x"] if old else ["", ""]


def heading(columns: list[str]) -> Iterator[str]:
    yield from (line(columns), "|" + "---|" * len(columns))


def line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"


if __name__ == "__main__":
    sys.exit(main())
