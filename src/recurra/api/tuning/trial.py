"""One trial of a search: a training whose dev scores a study hears, and may stop."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.api.folder import has_ended
from recurra.api.places import RunFolder
from recurra.api.training import resume, train
from recurra.base.contracts import Callback, Progress, Score
from recurra.base.errors import RecurraError
from recurra.training.log import read as read_log

# Trials are compared by dev scores: nothing is drawn or compared at their end, and no checkpoint is kept.
OVERRIDES = ("training.report=scores", "training.keep_checkpoints=none")


class EndedError(Exception):
    """A study wants no more epochs of a trial. why: as a clause"""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Quiet:
    """Shows the steps of a training, and neither its notes nor its scores. heard: hears the scores of each epoch"""

    def __init__(self, watch: Callback, heard: Callable[[int, Sequence[Score]], None] | None = None) -> None:
        self._watch, self._heard = watch, heard

    def note(self, message: str) -> None: ...

    def start(self, total_steps: int, epochs: int) -> None:
        self._watch.start(total_steps, epochs)

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        self._watch.step(progress, speed, seconds_left)

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        if self._heard is not None:
            self._heard(epoch, scores)

    def done(self) -> None:
        self._watch.done()


@dataclass(frozen=True, slots=True)
class Training:
    """How the trainings of a search are started. select: the score by which they are compared"""

    select: str
    device: str
    cells: tuple[Path, ...]
    watch: Callback

    def run(self, tree: Mapping[str, Any], folder: Path, heard: Callable[[int, float], None]) -> signal.Signals | None:
        """Train in a folder, or resume what was begun there. heard: hears each epoch with its score, once

        Returns the signal that stopped it, or None. Raises what training does, and what `heard` raises.
        """
        run, known = RunFolder(folder), set()
        for epoch, value in _logged(run, self.select):
            known.add(epoch)
            heard(epoch, value)
        if has_ended(run):
            return None

        def hear(epoch: int, scores: Sequence[Score]) -> None:
            value = next(s.value for s in scores if s.name == self.select)
            if epoch not in known:
                known.add(epoch)
                heard(epoch, value)

        watch = Quiet(self.watch, hear)
        try:
            if run.mark.is_file():
                trained = resume(folder, device=self.device, cells=self.cells, watch=watch)
            else:
                overrides = [*OVERRIDES, f"training.select={self.select}"]
                trained = train(
                    tree, out=folder, overrides=overrides, device=self.device, cells=self.cells, watch=watch
                )
        finally:
            self.watch.done()
        return trained.stopped_by


def _logged(run: RunFolder, select: str) -> Iterable[tuple[int, float]]:
    """The dev scores that a run has in its log."""
    for line in read_log(run.log):
        value = line.get(select)
        if line.get("event") == "dev" and isinstance(value, float | int):
            yield int(line["epoch"] or 0), float(value)


def best_of(scores: Iterable[float], *, higher: bool) -> float | None:
    """The best of some scores; those that are not finite are none."""
    finite = [value for value in scores if math.isfinite(value)]
    return (max if higher else min)(finite, default=None)


def why_failed(error: Exception) -> str:
    """What made a training fail, as one line."""
    if isinstance(error, RecurraError):
        return str(error).partition("\n")[0]
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        return f"out of memory{f': {text}' if text else ''}"
    return f"{type(error).__name__}: {text}"


def clear(folder: Path) -> None:
    """Take away the weights and checkpoints of a trial: its config and its log stay."""
    for path in folder.glob("*.safetensors"):
        path.unlink(missing_ok=True)
