"""A signal while data is read or scores are made: end there and then, because nothing is lost.

Between the steps of training `recurra.training.Stopping` is used instead: it finishes the step first.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from recurra.base.contracts import Listener
from recurra.training import Stopping

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Asked to stop. Not an Exception, so that no `except Exception` on its way out takes it for a failure.

    signal: None where `recurra finish` asks for the end of the run: no more steps, but scores and report
    """

    def __init__(self, number: signal.Signals | None) -> None:
        super().__init__(number)
        self.signal = number


@contextmanager
def at_once() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise Stopped inside the block, the first one only: the way out is not disturbed.

    Outside the main thread Python gives no signals, so the block then changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: the handler was not set from Python, and cannot be put back from it either.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(signal.Signals(number))


def second_interrupt(stopping: Stopping, grace: float, watch: Listener) -> bool:
    """Whether Ctrl-C was pressed twice; if a person is there to do so, `grace` is how many seconds they have."""
    if grace and stopping.interrupts < 2:
        watch.note(
            f"Stopped and saved. Press Ctrl-C again within {grace:g} seconds to end the run here, with scores and "
            "report of its best weights so far."
        )
    return stopping.again(grace)
