"""Training as a person sees it: a bar on a terminal, plain lines at intervals elsewhere. Always on standard error."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from recurra.cli.terminal import console, is_quiet, is_terminal, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from recurra.base.contracts import Callback, Progress, Score

_BAR_SECONDS = 0.1
_LINE_SECONDS = 10.0
_SCORES_IN_A_LINE = 4


@contextmanager
def watching(stream: TextIO | None = None) -> Iterator[Callback]:
    """The watcher that fits `stream` (standard error); its terminal is left tidy whatever happens."""
    stream = stream or sys.stderr
    kind = NoProgress if is_quiet() else ProgressBar if is_terminal(stream) else ProgressLines
    callback: Callback = kind(stream)
    try:
        yield callback
    finally:
        callback.done()


class Interval:
    """Says yes at most once in `seconds`. The loss is a tensor: reading it waits for the device, so not every step."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self.clock = clock
        self.last = -math.inf

    def due(self) -> bool:
        now = self.clock()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


class NoProgress:
    """Nothing: only results and errors are wanted."""

    def __init__(self, stream: TextIO) -> None: ...
    def note(self, message: str) -> None: ...
    def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None: ...
    def start(self, total_steps: int, epochs: int) -> None: ...
    def step(self, progress: Progress, speed: float, seconds_left: float) -> None: ...
    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None: ...
    def done(self) -> None: ...


class ProgressLines:
    """Plain lines: one each ten seconds, one for each epoch's scores."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.interval = Interval(_LINE_SECONDS, clock)
        self.total_steps = 0
        self.epochs = 0

    def note(self, message: str) -> None:
        print(printable(message), file=self.stream, flush=True)

    def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None:
        if self.interval.due():
            self.note(preparation_line(stage, done, total, speed, seconds_left))

    def start(self, total_steps: int, epochs: int) -> None:
        self.total_steps, self.epochs = total_steps, epochs

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        if self.interval.due():
            place = f"epoch {progress.epoch}/{self.epochs}  step {progress.step}/{self.total_steps}"
            self.note(f"{place}  {_state(progress, speed)}  {clock_time(seconds_left)} left")

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        self.note(epoch_line(epoch, self.epochs, scores, is_best))

    def done(self) -> None:
        self.stream.flush()


class ProgressBar:
    """A progress bar with epoch, step, loss, tokens per second and time left; notes and scores scroll above it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console(stream)
        self.interval = Interval(_BAR_SECONDS, clock)
        self.bar: Bar | None = None
        self.task: TaskID | None = None
        self.epochs = 0

    def note(self, message: str) -> None:
        self.console.print(printable(message), markup=False, soft_wrap=True)

    def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None:
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn

        if self.bar is None:
            columns = SpinnerColumn(), TextColumn("{task.description}")
            self.bar = Bar(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("")
            self.bar.start()
        if self.task is not None:
            line = preparation_line(stage, done, total, speed, seconds_left).replace("[", r"\[")
            self.bar.update(self.task, description=line)

    def start(self, total_steps: int, epochs: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self.done()
        self.epochs = epochs
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task("training", total=total_steps, state="")
        self.bar.start()

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        if self.bar is None or self.task is None or not self.interval.due():
            return
        self.bar.update(
            self.task,
            completed=progress.step,
            description=f"epoch {progress.epoch}/{self.epochs}",
            state=f"{_state(progress, speed)}  {clock_time(seconds_left)} left",
        )

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        self.note(epoch_line(epoch, self.epochs, scores, is_best))

    def done(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def preparation_line(stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> str:
    """`encoding: 120,000 of 20,000,000 rows  41,200 rows/s  8:02 left`; without an end while nobody knows it."""
    of = "" if total is None else f" of {total:,}"
    left = f"  {clock_time(seconds_left)} left" if math.isfinite(seconds_left) else ""
    return f"{stage}: {done:,}{of} rows  {speed:,.0f} rows/s{left}"


def epoch_line(epoch: int, epochs: int, scores: Sequence[Score], is_best: bool) -> str:
    """`epoch 2/10  dev accuracy 93.1 %, log_loss 0.2104 nats  (best so far)`; scores of single classes are left out."""
    from recurra.cli.show import percent_or_number

    whole = whole_scores(scores)
    shown = ", ".join(f"{score.name} {percent_or_number(score)}" for score in whole)
    split = f"{whole[0].split} " if whole else ""
    return f"epoch {epoch}/{epochs}  {split}{shown}{'  (best so far)' if is_best else ''}"


def whole_scores(scores: Sequence[Score]) -> tuple[Score, ...]:
    """The first few scores, without those of single classes."""
    return tuple(score for score in scores if "[" not in score.name)[:_SCORES_IN_A_LINE]


def clock_time(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`; `?` while nobody knows."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(max(seconds, 0)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _state(progress: Progress, speed: float) -> str:
    return f"loss {float(progress.loss):.4f}  {speed:,.0f} tokens/s"
