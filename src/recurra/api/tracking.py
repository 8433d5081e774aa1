"""The numbers of a training, handed to trackers; one that fails, or hangs, is left out, which is said once."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from recurra.api.trainer import Trainer
from recurra.base.contracts import Callback, Progress, Score
from recurra.base.errors import ConfigError
from recurra.training.every import every
from recurra.training.trackers import TRACKERS, Tracker
from recurra.training.trackers.contract import plain

# A number every so many steps, as in the log.
STEPS = 10
# Seconds in which a tracker begins, and in which it takes what is left at the end of a training.
PATIENCE = 30.0
# Sets of numbers that wait for a slow tracker, before it is given up.
MOST_WAITING = 1000


@contextmanager
def tracked(trainer: Trainer, run: Path, watch: Callback) -> Iterator[Callback]:
    """Inside the block the watcher that hands numbers on too, if the config names trackers and this rank writes."""
    words = trainer.settings.training.trackers
    if not words or trainer.ranks.number:
        yield watch
        return
    tracking = Tracking(trainer, run, watch)
    try:
        yield tracking
    finally:
        tracking.end()


class Tracking:
    """A watcher in front of another one, which has trackers beside it."""

    def __init__(self, trainer: Trainer, run: Path, watch: Callback) -> None:
        self._trainer, self._watch = trainer, watch
        self._trackers: dict[str, Beside] = {}
        for word in dict.fromkeys(trainer.settings.training.trackers):
            self._guarded(word, partial(self._open, word, run))

    def _open(self, word: str, run: Path) -> None:
        self._trackers[word] = Beside(partial(TRACKERS[word], run, self._trainer.settings.tree, self._trainer.step))

    def note(self, message: str) -> None:
        self._watch.note(message)

    def start(self, total_steps: int, epochs: int) -> None:
        self._watch.start(total_steps, epochs)

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        self._watch.step(progress, speed, seconds_left)
        if self._trackers and every(STEPS, progress):
            values = {"loss": float(progress.loss), "lr": progress.lr, "grad_norm": float(progress.grad_norm)}
            parts = {f"loss_{name}": float(part) for name, part in progress.parts.items()}
            self._tell(progress.step, "train", {**values, **parts, "tokens_per_second": speed})

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        self._watch.scores(epoch, scores, is_best)
        values = {plain(score.name): score.value for score in scores}
        self._tell(self._trainer.step, scores[0].split if scores else "dev", {**values, "epoch": float(epoch)})

    def done(self) -> None:
        self._watch.done()

    def end(self) -> None:
        """Let all trackers end, however the training did."""
        for word, tracker in list(self._trackers.items()):
            self._guarded(word, tracker.end)

    def _tell(self, step: int, split: str, values: Mapping[str, float]) -> None:
        named = {f"{split}/{name}": value for name, value in values.items() if math.isfinite(value)}
        for word, tracker in list(self._trackers.items()):
            self._guarded(word, partial(tracker.numbers, step, named))

    def _guarded(self, word: str, do: Callable[[], None]) -> None:
        """Do it; a tracker that fails is left out from then on. Raises ConfigError for a package that is missing."""
        try:
            do()
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  a server that is away must not end a training
            self._trackers.pop(word, None)
            line = str(error).strip().partition("\n")[0].rstrip(".")
            self._watch.note(
                f"training.trackers: {word} failed, and is told no more: {type(error).__name__}: {line}. The training "
                "goes on; all numbers are in log.jsonl."
            )


class Beside:
    """A tracker in a thread of its own: a server that hangs must not hold a training up.

    make: makes it, which is waited for. Raises what that raises; TimeoutError where it takes too long.
    What the tracker raises is raised by the next call.
    """

    def __init__(self, make: Callable[[], Tracker]) -> None:
        self._orders: queue.Queue[Callable[[Tracker], None] | None] = queue.Queue(MOST_WAITING)
        self._error: Exception | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make,), name="recurra-tracker", daemon=True)
        self._thread.start()
        if not self._begun.wait(PATIENCE):
            self._orders.put(None)
            raise TimeoutError(f"has not begun within {PATIENCE:g} s")
        self._refuse_failed()

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self._refuse_failed()
        try:
            self._orders.put_nowait(lambda tracker: tracker.numbers(step, values))
        except queue.Full:
            raise TimeoutError(f"{MOST_WAITING:,} sets of numbers wait for it") from None

    def end(self) -> None:
        """Let it take what is left, and end."""
        self._refuse_failed()
        try:
            self._orders.put(None, timeout=PATIENCE)
        except queue.Full:
            pass
        else:
            self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise TimeoutError(f"has not taken all numbers within {PATIENCE:g} s")
        self._refuse_failed()

    def _refuse_failed(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self, make: Callable[[], Tracker]) -> None:
        try:
            tracker = make()
            self._begun.set()
            while order := self._orders.get():
                order(tracker)
            tracker.end()
        except Exception as error:  # noqa: BLE001  the training's thread is told
            self._error = error
        finally:
            self._begun.set()
