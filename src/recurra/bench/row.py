"""One measured configuration: recurra's value, its peers', and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recurra.bench.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Row:
    """value, peers: medians in the mode's unit (ms, us, MiB), smaller is better.

    executor:      what ran recurra's layer; "cpu" is the native engine
    operations:    floating-point operations a second, of the matrix products; None where that is not measured
    peak:          the machine's, in turn with the rest, on as many threads; None without the native engine
    token_time:    mode "lengths": time a real token, as a multiple of that at full lengths; else None
    floors:        in the mode's unit, what each part of the work takes at least (`bench.roofline`); None as the peak
    """

    configuration: Configuration
    threads: int
    executor: str
    value: float
    peers: Mapping[str, float]
    operations: float | None = None
    peak: float | None = None
    token_time: float | None = None
    floors: Mapping[str, float] | None = None

    @property
    def share(self) -> float | None:
        """Of the peak, 0..1 (a little more where the machine was busier during the peak than during the layer)."""
        return self.operations / self.peak if self.operations and self.peak else None

    @property
    def bound(self) -> str | None:
        """The part that takes most of the time at least."""
        floors = self.floors or {}
        return max(floors, key=lambda name: floors[name], default=None)

    @property
    def ratios(self) -> dict[str, float]:
        """How many times a peer's value is recurra's: above 1, recurra is better."""
        return {name: value / self.value for name, value in self.peers.items()}

    @property
    def best_peer(self) -> str | None:
        """The name of the peer with the smallest value."""
        return min(self.peers, key=lambda name: self.peers[name], default=None)

    @property
    def best_ratio(self) -> float | None:
        """How many times the best peer's value is recurra's."""
        return self.peers[self.best_peer] / self.value if self.best_peer else None

    def as_json(self) -> dict[str, Any]:
        """Plain values, by names that stay."""
        c = self.configuration
        return {
            "mode": c.mode,
            "cell": c.cell,
            "T": c.T,
            "N": c.N,
            "I": c.I,
            "H": c.H,
            "threads": self.threads,
            "executor": self.executor,
            "unit": c.kind.unit,
            "value": self.value,
            "gflop_per_second": None if self.operations is None else self.operations / 1e9,
            "peak_gflop_per_second": None if self.peak is None else self.peak / 1e9,
            "share_of_peak": self.share,
            "token_time": self.token_time,
            "floors": None if self.floors is None else dict(self.floors),
            "bound": self.bound,
            "peers": {name: {"value": value, "ratio": self.ratios[name]} for name, value in self.peers.items()},
            "best_peer": self.best_peer,
            "best_ratio": self.best_ratio,
        }


@dataclass(frozen=True, slots=True)
class Mean:
    """Geometric means of the ratios of one mode and cell, over `count` configurations each.

    best: against the best peer of each configuration; None where there was no peer
    """

    mode: str
    cell: str
    best: float | None
    peers: Mapping[str, float]
    count: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, by names that stay."""
        return {"mode": self.mode, "cell": self.cell, "count": self.count, "best": self.best, "peers": dict(self.peers)}


def means(rows: Iterable[Row]) -> list[Mean]:
    """One for each mode and cell, in the order of the rows."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.configuration.mode, row.configuration.cell), []).append(row)
    return [_mean(mode, cell, group) for (mode, cell), group in groups.items()]


def _mean(mode: str, cell: str, rows: list[Row]) -> Mean:
    names = dict.fromkeys(name for row in rows for name in row.peers)
    peers = {name: geometric_mean([row.ratios[name] for row in rows if name in row.peers]) for name in names}
    best = [row.best_ratio for row in rows if row.best_ratio is not None]
    return Mean(mode, cell, geometric_mean(best) if best else None, peers, len(rows))


def geometric_mean(ratios: list[float]) -> float:
    """The n-th root of the product of n positive numbers."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
