"""One configuration: everybody prepares, then all are measured in turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from recurra.base.errors import ConfigError, RunError
from recurra.bench import memory, peak
from recurra.bench.clock import Meter, Work
from recurra.bench.configuration import Configuration
from recurra.bench.peers import OURS, Peer, participants
from recurra.bench.peers.ours import executor
from recurra.bench.problem import Problem
from recurra.bench.roofline import MEASURED, Roofline
from recurra.bench.row import Row

LONGEST = 3600
FACTOR = {"ms": 1e3, "us": 1e6}
# recurra at full lengths, beside the row of mode "lengths".
FULL = "full lengths"


@dataclass(frozen=True, slots=True)
class Bench:
    """recurra and its peers with one number of threads. `opened` makes one; `note` hears which peer failed."""

    peers: Mapping[str, Peer]
    threads: int
    meter: Meter
    peak: peak.Peak
    note: Callable[[str], None]

    def row(self, configuration: Configuration) -> Row:
        """Measure one configuration. Raises ConfigError if this system cannot do the mode."""
        doing = {n: p for n, p in participants(self.peers).items() if not p.refuses(configuration)}
        if configuration.mode == "memory":
            return self._memory(configuration, doing)
        problem = Problem(configuration, self.threads)
        works = {name: work for name, peer in doing.items() if (work := self._prepared(name, peer, problem))}
        roofline = Roofline(problem)
        seconds = self.meter.medians(works | self._beside(configuration) | roofline.works())
        return self._row(roofline, seconds, list(works))

    def _prepared(self, name: str, peer: Peer, problem: Problem) -> Work | None:
        """A work that has been called once; None, and a note, if a peer fails: an hour of measuring goes on."""
        try:
            work = peer.work(problem)
            work()
        except Exception as error:  # foreign code may raise anything
            if name == OURS:
                raise
            self.note(f"{name} is left out: {type(error).__name__}: {error}")
            return None
        return work

    def _beside(self, configuration: Configuration) -> dict[str, Work]:
        """The peak; where lengths vary, the same layer at full lengths."""
        if configuration.mode != "lengths":
            return self.peak.works()
        full = participants({})[OURS].work(Problem(replace(configuration, mode="train"), self.threads))
        full()
        return {FULL: full, **self.peak.works()}

    def _row(self, roofline: Roofline, seconds: Mapping[str, float], names: list[str]) -> Row:
        problem = roofline.problem
        most = self.peak.operations / seconds[peak.NAME] if peak.NAME in seconds else None
        floors = roofline.floors(seconds, most)
        c, ours, factor = problem.configuration, seconds[OURS], FACTOR[problem.configuration.kind.unit]
        real = problem.tokens / (c.T * c.N)
        return Row(
            configuration=c,
            threads=self.threads,
            executor=executor(c),
            value=ours * factor,
            peers={name: seconds[name] * factor for name in names if name != OURS},
            operations=problem.operations / ours,
            peak=most,
            token_time=ours / seconds[FULL] / real if FULL in seconds else None,
            floors=None if floors is None else {name: floor * factor for name, floor in floors.items()},
        )

    def _memory(self, configuration: Configuration, doing: Mapping[str, Peer]) -> Row:
        grown = {OURS: memory.growth(OURS, configuration, self.threads)}
        for name in (name for name in doing if name != OURS):
            try:
                grown[name] = memory.growth(name, configuration, self.threads)
            except RunError as error:
                self.note(f"{name} is left out: {error}")
        ours = grown.pop(OURS)
        return Row(configuration, self.threads, executor(configuration), ours, grown)


@contextmanager
def opened(
    peers: Mapping[str, Peer], *, threads: int = 1, seconds: float = 1.0, note: Callable[[str], None] = print
) -> Iterator[Bench]:
    """Start the peers, and leave torch's number of threads as it was.

    seconds: of measuring one configuration, without what preparing and warming up take
    Raises ConfigError for a number out of range, or if JAX already runs with other threads in this process.
    """
    _check(threads, seconds)
    before, peaks = torch.get_num_threads(), peak.Peak(threads)
    try:
        for participant in participants(peers).values():
            participant.start(threads)
        yield Bench(peers, threads, Meter.of(seconds, threads, alone=frozenset((peak.NAME, *MEASURED))), peaks, note)
    finally:
        peaks.stop()
        torch.set_num_threads(before)


def _check(threads: int, seconds: float) -> None:
    cores = os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise ConfigError(f"threads: got {threads}, expected 1 to {cores}, the cores of this machine.")
    if not 0 < seconds <= LONGEST:
        raise ConfigError(f"seconds: got {seconds}, expected more than 0 and up to {LONGEST}, a configuration.")
