"""A whole run: the machine, the rows, the means; as JSON and as lines of text."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.bench.peers import Peer
from recurra.bench.row import Mean, Row, means
from recurra.engine import cpu


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured on. versions: of Python, of recurra and of every package that a peer needs."""

    processor: str
    cores: int
    instruction_set: str | None
    threads: int
    versions: Mapping[str, str]

    @property
    def clock(self) -> str:
        return "CPU time" if self.threads == 1 else "wall time"

    def as_json(self) -> dict[str, Any]:
        """Plain values, by names that stay."""
        return {
            "processor": self.processor,
            "cores": self.cores,
            "instruction_set": self.instruction_set,
            "threads": self.threads,
            "clock": self.clock,
            "versions": dict(self.versions),
        }

    def line(self) -> str:
        """One line for a person."""
        engine = f"native engine {self.instruction_set}" if self.instruction_set else "no native engine"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.processor}, {self.cores} cores; {threads}, {self.clock}, float32, {engine}; {versions}"


def this_machine(peers: Mapping[str, Peer], threads: int) -> Machine:
    """The machine that runs this, as measured with these peers."""
    packages = dict.fromkeys(["recurra", *(name for peer in peers.values() for name in peer.packages)])
    versions = {"Python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}}
    isa = cpu.instruction_set() if cpu.available() else None
    return Machine(_processor(), os.cpu_count() or 1, isa, threads, versions)


def _processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def as_json(machine: Machine, rows: list[Row]) -> dict[str, Any]:
    """The whole run: {"machine": ..., "rows": [...], "means": [...]}."""
    return {
        "machine": machine.as_json(),
        "rows": [row.as_json() for row in rows],
        "means": [mean.as_json() for mean in means(rows)],
    }


def line(row: Row) -> str:
    """One row for a person: its value, speed, share of the peak, floors by what takes them, and its peers."""
    c = row.configuration
    facts = [f"{row.value:9.{_digits(row.value)}f} {c.kind.unit:3}", _speed(row), _token_time(row), floors_text(row)]
    return f"{c.mode:13} {c.cell:16} {sizes_text(row):17} {' '.join(f for f in facts if f)}  {_ratios(row)}".rstrip()


def mean_line(mean: Mean) -> str:
    """The means of one mode and cell: the best peer of each configuration, then each peer."""
    best = "" if mean.best is None else f"best peers {mean.best:.2f}x; "
    return f"{mean.mode:13} {mean.cell:16} {best}{', '.join(f'{n} {r:.2f}x' for n, r in mean.peers.items())}"


def mean_lines(rows: list[Row]) -> Iterator[str]:
    """A heading, then a line for each mode and cell."""
    yield "geometric means: how many times a peer's time (or memory) is recurra's"
    yield from map(mean_line, means(rows))


def sizes_text(row: Row) -> str:
    return "x".join(map(str, row.configuration.sizes))


def _digits(value: float) -> int:
    return 0 if value >= 1000 else 1 if value >= 10 else 2 if value >= 1 else 3


def _speed(row: Row) -> str:
    if row.operations is None:
        return ""
    share = "" if row.share is None else f" {row.share:4.0%} of peak"
    return f"{row.operations / 1e9:6.1f} GFLOP/s{share}"


def _token_time(row: Row) -> str:
    return "" if row.token_time is None else f"{row.token_time:.2f} a token"


def floors_text(row: Row) -> str:
    """What each part takes at least, of the whole: `(products 51%, gates 20%, weights 4%, streams 9%)`."""
    parts = [f"{name} {floor / row.value:.0%}" for name, floor in (row.floors or {}).items()]
    return f"({', '.join(parts)})" if parts else ""


def _ratios(row: Row) -> str:
    """The best peer first, which is the one that counts."""
    best = "" if row.best_peer is None else f"best peer {row.best_peer} {row.best_ratio:.2f}x"
    others = [f"{name} {ratio:.2f}x" for name, ratio in row.ratios.items() if name != row.best_peer]
    return "; ".join(part for part in (best, ", ".join(others)) if part)
