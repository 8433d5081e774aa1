"""One process of a distributed training: `python -m recurra.api.worker`, started by `recurra.api.distributed`.

What to do comes as JSON on standard input, what happens goes as JSON lines into a pipe, and a heartbeat each moment.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from recurra.api.callbacks import NoCallback
from recurra.api.folder import add_cells, open_settings
from recurra.api.given import config_of
from recurra.api.interrupts import Stopped, at_once
from recurra.api.places import RunFolder
from recurra.api.schema import read_settings
from recurra.api.training_run import refuse_taken, resume_from, run_epochs, start
from recurra.base import errors
from recurra.base.contracts import Callback, Progress, Score
from recurra.base.errors import ConfigError, RecurraError
from recurra.data.formats import unsigned
from recurra.training import FolderLock, Group, LostError, Stopping
from recurra.training.memory import keep_freed_memory

# Exit codes: told through the pipe why; the process that watches is gone.
TOLD, ORPHAN = 3, 4


class Pipe:
    """Tells the process that watches what happens; a watcher of the training, for the first rank."""

    def __init__(self, handle: int) -> None:
        self._handle, self._lock = handle, threading.Lock()

    def tell(self, word: str, *values: Any) -> None:
        """One line. Ends this process if nobody reads any more."""
        line = json.dumps([word, *values]).encode() + b"\n"
        try:
            with self._lock:
                while line:
                    line = line[os.write(self._handle, line) :]
        except BrokenPipeError:
            os._exit(ORPHAN)

    def live(self, seconds: float) -> None:
        """A heartbeat every so many seconds, from a thread, for as long as the process runs."""
        while True:
            self.tell("alive")
            time.sleep(seconds)

    def note(self, message: str) -> None:
        self.tell("note", message)

    def start(self, total_steps: int, epochs: int) -> None:
        self.tell("start", total_steps, epochs)

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        numbers = progress.step, progress.epoch, progress.loss.item(), progress.tokens, progress.lr
        self.tell("step", *numbers, progress.grad_norm.item(), speed, seconds_left)

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        self.tell("scores", epoch, [[s.name, s.value, s.unit, s.better, s.split] for s in scores], is_best)

    def done(self) -> None:
        self.tell("done")


def main() -> int:
    """Learn as one rank; tell how it ended. The exit code is 0 where training ended or was stopped."""
    orders = json.load(sys.stdin)
    pipe = Pipe(int(orders["pipe"]))
    threading.Thread(target=pipe.live, args=(float(orders["beat"]),), daemon=True).start()
    try:
        pipe.tell("ended", _learn(orders, pipe))
    except LostError as error:
        pipe.tell("lost", str(error))
        return TOLD
    except RecurraError as error:
        problems = list(error.problems) if isinstance(error, ConfigError) else [str(error)]
        known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        pipe.tell("refused", known.__name__, problems)
        return TOLD
    except Exception as error:  # noqa: BLE001 - the outermost handler of this process
        pipe.tell("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
        return TOLD
    return 0


def _learn(orders: Mapping[str, Any], pipe: Pipe) -> int | str | None:
    """The number of the signal that stopped all ranks, "finish", or None. Only the first one writes, hears signals."""
    keep_freed_memory()
    for url in orders["signed"]:  # the config in a run folder, from which ranks begin again, has no signatures
        unsigned(url)
    ranks = Group(orders["rank"], orders["ranks"], Path(orders["meeting"]))
    watch: Callback = NoCallback() if ranks.number else pipe
    cells, cpu = [Path(cell) for cell in orders["cells"]], torch.device("cpu")
    try:
        with at_once():
            if orders["config"] is not None:
                add_cells(cells)
                folder = RunFolder(Path(orders["run"]))
                config = config_of(orders["config"])
                settings = read_settings(config, orders["overrides"], orders["seed"])
            else:
                folder, settings = open_settings(Path(orders["run"]), cells, orders["changes"])
            if ranks.number == 0:
                FolderLock(folder.path, watch.note).__enter__()  # until this process ends
                if orders["config"] is not None:
                    refuse_taken(folder, config_of(orders["config"]))
            make = resume_from if orders["config"] is None else start
            training_run = make(folder, settings, cpu, watch, ranks)
        with Stopping() as stopping:
            run_epochs(training_run, stopping, watch)
    except Stopped as stopped:
        return "finish" if stopped.signal is None else int(stopped.signal)
    return None


if __name__ == "__main__":
    # At once, and without the end of Python: another rank that is gone would make gloo wait for it.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
