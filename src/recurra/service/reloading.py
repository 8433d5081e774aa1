"""A run that was trained anew is taken up while its version before goes on answering."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from recurra.base.errors import ConfigError, RecurraError
from recurra.service.log import Log
from recurra.service.metrics import Metrics
from recurra.service.models import LoadedModel, reload, warm_up
from recurra.service.worker import Worker


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How a reload ended. served: what answers now; problems: of a refused one, without paths of this machine"""

    served: LoadedModel
    outcome: Literal["loaded", "unchanged", "refused"]
    problems: tuple[str, ...]
    at: datetime


class Reloads:
    """Reads runs again, one after the other, in a thread of its own.

    runs: by name; a version that has answered once takes the place of the one before, between two requests. Whatever
    goes wrong before that leaves everything as it was.
    replaced: called with a version whose place another has taken
    """

    def __init__(
        self,
        runs: MutableMapping[str, LoadedModel],
        worker: Worker,
        replaced: Callable[[LoadedModel], None],
        log: Log,
        metrics: Metrics,
    ) -> None:
        self.last: dict[str, Reloaded] = {}
        # Not the worker's thread: a large model is read while others answer.
        self.loader = Worker("recurra-reload")
        self._runs = runs
        self._worker = worker
        self._replaced = replaced
        self._log = log
        self._metrics = metrics
        self._wanted: dict[str, asyncio.Future[Reloaded]] = {}
        self._asked = asyncio.Event()
        for served in runs.values():
            metrics.opened(served.name, served.opened)

    def ask(self, name: str) -> asyncio.Future[Reloaded]:
        """Have a run read again. What waits for its turn is read once, however often it was asked for."""
        if name not in self._wanted:
            self._wanted[name] = asyncio.get_running_loop().create_future()
        self._asked.set()
        return self._wanted[name]

    def ask_all(self) -> None:
        """Have every run read again."""
        for name in self._runs:
            self.ask(name)

    async def serve(self) -> None:
        """Reload what is asked for, for ever; cancelled at the end."""
        self._asked = asyncio.Event()  # of this event loop
        while True:
            if not self._wanted:
                self._asked.clear()
                await self._asked.wait()
            name = next(iter(self._wanted))
            # Taken out before its files are read: who asks from now on may have newer ones.
            waiting = self._wanted.pop(name)
            done = await self._reload(self._runs[name])
            if not waiting.done():
                waiting.set_result(done)

    async def _reload(self, old: LoadedModel) -> Reloaded:
        start = time.monotonic()
        try:
            new = await self.loader.run(partial(reload, old))
            if new is not old:
                await self._worker.run(partial(warm_up, new))  # models are used from the worker's thread alone
        except Exception as error:  # noqa: BLE001 - whatever it is, the version before goes on
            done = Reloaded(old, "refused", _shown(error, old), datetime.now(UTC))
            ours = None if isinstance(error, RecurraError) else error  # with its traceback
            self._log.error("reload", ours, model=old.name, outcome="refused", version=old.version, problem=str(error))
        else:
            done = Reloaded(new, "unchanged" if new is old else "loaded", (), datetime.now(UTC))
            if new is not old:
                self._runs[old.name] = new
                self._replaced(old)
                self._metrics.opened(new.name, new.opened)
            took = round(time.monotonic() - start, 3)
            self._log.info("reload", model=old.name, outcome=done.outcome, version=new.version, seconds=took)
        self._metrics.reloaded(old.name, done.outcome)
        self.last[old.name] = done
        return done


def _shown(error: Exception, served: LoadedModel) -> tuple[str, ...]:
    """What went wrong, for people on other machines: the run's folder is its name, and our mistakes are in the log."""
    if not isinstance(error, RecurraError | OSError):
        return ("it could not be read; the log of the service says why.",)
    problems = list(error.problems) if isinstance(error, ConfigError) else [str(error)]
    beside = served.beside
    files = (
        (beside.index, "index"),
        (beside.images, "images"),
        (beside.text_index, "text-index"),
        (beside.texts, "texts"),
    )
    for path, name in ((served.run.folder.path, served.name), *files):
        if path is not None and len(path.parts) > 1:  # a word alone says nothing of the machine
            problems = [problem.replace(str(path), name) for problem in problems]
    return tuple(problems)
