"""When work is given up, and a model that gives up when nobody waits for its answer any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch


class DeadlineExceededError(Exception):
    """Nobody waits for this any more."""


class Deadline:
    """When work is given up: at a time of `time.monotonic`, or as soon as everybody has gone."""

    def __init__(self, at: float, is_wanted: Callable[[], bool] = lambda: True) -> None:
        self.at = at
        self.is_wanted = is_wanted
        self._lock, self._ended = threading.Lock(), False

    def check(self) -> None:
        """Raises DeadlineExceededError."""
        if self._ended or time.monotonic() > self.at or not self.is_wanted():
            raise DeadlineExceededError

    def end(self) -> bool:
        """Whether this call is the first: of who computes and who waits, one alone says whether there is an answer."""
        with self._lock:
            is_first, self._ended = not self._ended, True
        return is_first


class DeadlineModel:
    """A model as a task uses it, that looks at the clock before each call and each step of a search.

    Raises DeadlineExceededError from `__call__`, `start`, `step` and `best` when it is past.
    """

    def __init__(self, model: torch.nn.Module, deadline: Deadline) -> None:
        self._model: Any = model
        self._deadline = deadline

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._deadline.check()
        return self._model(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        if name not in ("start", "step", "best"):
            return found

        def checked(*arguments: Any, **options: Any) -> Any:
            self._deadline.check()
            return found(*arguments, **options)

        return checked
