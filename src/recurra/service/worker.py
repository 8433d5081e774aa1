"""One thread that computes: models are used from it alone, and the event loop never waits for them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from recurra.service.errors import busy

T = TypeVar("T")


class Worker:
    """Does what it is given, one thing after the other.

    One thread, not one a request: on the CPU a batch uses all cores that it can, and two of them at once would only
    slow each other down. most: requests that may wait for it, whatever they ask for; None: any number
    """

    def __init__(self, name: str = "recurra-models", most: int | None = None) -> None:
        self._most = most
        self._queued = set[Future[Any]]()
        self._beside: list[Callable[[], int]] = []
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        # A daemon: a model that does not come to an end must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which may not raise StopIteration; what is cancelled before it begins is not done."""
        future: Future[T] = Future()
        self._queued.add(future)
        future.add_done_callback(self._queued.discard)  # also where nobody waits for it any more
        self._waiting.put((future, work))
        return await asyncio.wrap_future(future)

    async def ask(self, work: Callable[[], T]) -> T:
        """The same for a request that begins. Raises RefusedError, 503, where too many wait already.

        What has begun, such as a text that is written token by token, takes its later turns by `run`.
        """
        self.refuse_more()
        return await self.run(work)

    def count(self, waiting: Callable[[], int]) -> None:
        """Let requests count that wait elsewhere, for a batch."""
        self._beside.append(waiting)

    @property
    def waiting(self) -> int:
        """Requests that wait: for their turn here, or elsewhere for a batch."""
        return len(self._queued) + sum(number() for number in self._beside)

    def refuse_more(self) -> None:
        """Raise RefusedError, 503, where no request more may wait."""
        if self._most is not None and self.waiting >= self._most:
            raise busy(f"{self.waiting} requests wait already; come again later.")

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
            self._queued.discard(future)
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
                future.set_exception(error)
            # Else the last answer lives until the next question.
            del item, future, work
