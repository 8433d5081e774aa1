"""What a long verb tells whoever watches it: a progress bar, a notebook, or nobody."""

from __future__ import annotations

from typing import Protocol

from recurra.base.contracts import Progress, Score


class Watcher(Protocol):
    """Called by training as it goes. progress.loss is a tensor: reading it costs, so read it only when it is shown."""

    def note(self, message: str) -> None:
        """Something a person should know: a choice that `auto` made, rows that were skipped, a fallback."""

    def start(self, total_steps: int, epochs: int) -> None:
        """Training begins, or goes on."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        """One optimizer step is done. speed: tokens per second."""

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        """The dev scores of an epoch."""

    def done(self) -> None:
        """Training has ended."""


class Nobody:
    """A watcher that looks away."""

    def note(self, message: str) -> None: ...
    def start(self, total_steps: int, epochs: int) -> None: ...
    def step(self, progress: Progress, speed: float, seconds_left: float) -> None: ...
    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None: ...
    def done(self) -> None: ...
