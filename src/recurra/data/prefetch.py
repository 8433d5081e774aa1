"""One item ahead: while one is worked with, a thread makes the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


def prefetched(items: Iterable[T], make: Callable[[T], U]) -> Iterator[U]:
    """make(item) of each item, in order; the next is made in a thread while the last one is used.

    The thread makes one after another, so that what `make` does, and in which order, is the same as without it. What it
    raises is raised here, in its place. An iterator that is closed, or dropped, waits for the item under way and ends
    the thread.
    """
    made: Queue[tuple[bool, Any]] = Queue(maxsize=1)
    wanted = threading.Semaphore(1)  # one item at a time is made ahead: they may be large
    closed = threading.Event()

    def work() -> None:
        try:
            for item in items:
                wanted.acquire()
                if closed.is_set():
                    return
                made.put((True, make(item)))
            made.put((False, None))
        except BaseException as error:  # noqa: BLE001 - raised again where the item is asked for
            made.put((False, error))

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = made.get()
            if not is_item:
                if value is not None:
                    raise value
                return
            wanted.release()
            yield value
    finally:
        closed.set()
        wanted.release()
        while thread.is_alive():
            if not made.empty():
                made.get_nowait()
            thread.join(0.01)
