"""One thread that computes: models are used from it alone, and the event loop never waits for them."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from recurra.base.deadline import under_deadline
from recurra.service.deadline import Deadline, DeadlineExceededError
from recurra.service.errors import busy, late

T = TypeVar("T")


class Worker:
    """Does what it is given, one thing after the other.

    One thread, not one a request: on the CPU a batch uses all cores that it can, and two of them at once would only
    slow each other down. most: requests that may wait for it, whatever they ask for; None: any number
    seconds: that what is asked for may take, with the wait for its turn
    """

    def __init__(self, name: str = "recurra-models", most: int | None = None, seconds: float = 30.0) -> None:
        self._most, self._seconds = most, seconds
        self._queued = set[Future[Any]]()
        self._beside: list[Callable[[], int]] = []
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        # A daemon: a model that does not come to an end must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which may not raise StopIteration; what is cancelled before it begins is not done."""
        return await self._put(work)

    async def ask(self, work: Callable[[], T], keep: Callable[[T], None] = lambda result: None) -> T:
        """The same for a request that begins, and is given up when its time is over: where `work` next asks.

        keep: of the result, in the same thread; not done where the answer was that it took too long
        What has begun, such as a text that is written token by token, takes its later turns by `run`.
        Raises RefusedError: 503 where too many wait already, 504 when the time is over, whatever `work` does.
        """
        self.refuse_more()
        deadline = Deadline(time.monotonic() + self._seconds)
        answer = self._put(lambda: _in_time(work, keep, deadline))
        try:
            await asyncio.wait([answer], timeout=self._seconds)
            if not answer.done() and deadline.end():
                raise late(self._seconds)
            return await answer
        except DeadlineExceededError:
            raise late(self._seconds) from None
        finally:
            deadline.end()  # also where who asked has gone
            answer.cancel()

    def _put(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """The result of `work` that is to come."""
        future: Future[T] = Future()
        self._queued.add(future)
        future.add_done_callback(self._queued.discard)  # also where nobody waits for it any more
        self._waiting.put((future, work))
        return asyncio.wrap_future(future)

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


def _in_time(work: Callable[[], T], keep: Callable[[T], None], deadline: Deadline) -> T:
    """The result, kept where somebody still waits for it; in the worker's thread. Raises DeadlineExceededError."""
    with under_deadline(deadline.check):
        result = work()
    if not deadline.end():
        raise DeadlineExceededError
    keep(result)
    return result
