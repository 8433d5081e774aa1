"""A polite stop: SIGINT (Ctrl-C) and SIGTERM become a question that the loop answers after its step."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

LOOK = 0.05  # seconds


class Stopping:
    """While the block runs, a first SIGINT or SIGTERM only sets `signal`, and further ones do nothing.

        with Stopping() as stopping:
            for progress in fit(...):
                if stopping.requested: save; return

    Further signals during the save are harmless, and a second Ctrl-C is remembered: `interrupts` counts them.
    SIGKILL still ends the process, and the checkpoint before stands.
    Outside the main thread Python gives no signals, so the block then changes nothing.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.interrupts = 0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Did somebody ask to stop?"""
        return self.signal is not None

    def again(self, seconds: float) -> bool:
        """Has there been a second Ctrl-C, or is there one within so many seconds?"""
        deadline = time.monotonic() + seconds
        while self.interrupts < 2 and time.monotonic() < deadline:
            time.sleep(LOOK)
        return self.interrupts >= 2

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            # None: the handler was not set from Python, and cannot be put back from it either.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += number == signal.SIGINT
        if self.signal is None:
            self.signal = signal.Signals(number)
