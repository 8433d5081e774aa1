"""Training as a notebook shows it: a bar with speed and time left, scores of each epoch, notes. HTML, no widgets."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from recurra.base.contracts import Progress, Score, Table
from recurra.cli.progress import Interval, clock_time, whole_scores
from recurra.cli.show import percent_or_number
from recurra.python.markup import MOST_ROWS, table_html
from recurra.report.markup import Markup, join, tag

# A notebook keeps every update that it is sent until the cell ends.
SECONDS = 0.25

Show = Callable[[Markup], None]


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, whose outputs are HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """A callback that draws into one output of a cell, again and again.

    show: takes the HTML of all there is to see; by default that of IPython
    """

    def __init__(self, show: Show | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show or _Output()
        self._interval = Interval(SECONDS, clock)
        self._notes: list[str] = []
        self._epochs: list[tuple[int, tuple[Score, ...], bool]] = []
        self._total = (0, 0)
        self._bar = join()

    def note(self, message: str) -> None:
        """A line below the bar."""
        self._notes.append(message)
        self._draw()

    def start(self, total_steps: int, epochs: int) -> None:
        """An empty bar."""
        self._total = (total_steps, epochs)

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        """The bar, four times a second at most."""
        if not self._interval.due():
            return
        steps, epochs = self._total
        said = (
            f" epoch {progress.epoch}/{epochs}, step {progress.step:,}/{steps:,}, loss {float(progress.loss):.4f}, "
            f"{speed:,.0f} tokens/s, {clock_time(seconds_left)} left"
        )
        self._bar = tag("div", tag("progress", value=progress.step, max=steps), said)
        self._draw()

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        """A row of the table."""
        self._epochs.append((epoch, whole_scores(scores), is_best))
        self._draw()

    def done(self) -> None:
        """The table and the notes stay, the bar goes."""
        if self._bar:
            self._bar = join()
            self._draw()

    def _draw(self) -> None:
        self._show(tag("div", self._bar, self._table(), *(tag("div", note) for note in self._notes)))

    def _table(self) -> Markup:
        """The last epochs; the best one so far is marked."""
        if not self._epochs:
            return join()
        names = [score.name for score in self._epochs[0][1]]
        best = max((epoch for epoch, _, is_best in self._epochs if is_best), default=0)
        rows = tuple(
            (f"{epoch}{' (best)' if epoch == best else ''}", *map(percent_or_number, scores))
            for epoch, scores, _ in self._epochs[-MOST_ROWS:]
        )
        return table_html(Table("", ("epoch", *names), rows))


class _Output:
    """One output of the cell that runs, made when there is something to show."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, markup: Markup) -> None:
        ipython: Any = import_module("IPython.display")  # whose functions have no types
        page = ipython.HTML(markup)
        if self._handle is None:
            self._handle = ipython.display(page, display_id=True)
        else:
            self._handle.update(page)
