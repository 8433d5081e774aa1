"""One thread that computes: models are used from it alone, and the event loop never waits for them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Does what it is given, one thing after the other.

    One thread, not one a request: on the CPU a batch uses all cores that it can, and two of them at once would only
    slow each other down.
    """

    def __init__(self, name: str = "recurra-models") -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        # A daemon: a model that does not come to an end must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which may not raise StopIteration; what is cancelled before it begins is not done."""
        future: Future[T] = Future()
        self._waiting.put((future, work))
        return await asyncio.wrap_future(future)

    def stop(self, seconds: float) -> bool:
        """End after what has been given so far; whether that took less than `seconds`."""
        self._waiting.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
                future.set_exception(error)
            # Else the last answer lives until the next question.
            del item, future, work
