"""The verbs work in float32, and make tensors on the CPU, whatever torch's defaults are in the calling program.

A model would be made in the default type on the default device otherwise, and its run could not be opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from threading import Lock, local
from typing import Any, ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
R = TypeVar("R")


def in_float32(verb: Callable[P, R]) -> Callable[P, R]:
    """The same function under torch's own defaults; what it returns as an iterator works under them too."""

    @wraps(verb)
    def under(*args: P.args, **options: P.kwargs) -> R:
        with _usual():
            found = verb(*args, **options)
        return cast(R, _each(found)) if isinstance(found, Iterator) else found

    return under


def _each(found: Iterator[Any]) -> Iterator[Any]:
    """The same, step by step: between two steps the caller has its defaults."""
    while True:
        with _usual():
            try:
                one = next(found)
            except StopIteration:
                return
        yield one


class _Inside(local):
    """Whether this thread is in a verb already, where all is as it should be: an answer goes through four of them."""

    verb = False


_INSIDE = _Inside()


def _usual() -> AbstractContextManager[object]:
    return nullcontext() if _INSIDE.verb else _Defaults()


class _Defaults:
    """Float32 on the CPU. A class, since an answer is taken in several parts, and generators take twice as long."""

    __slots__ = ("_device",)

    def __enter__(self) -> None:
        _TYPE.enter()
        # A device as a context makes every call of torch slower, so it is one only where it changes something.
        self._device = None if torch.get_default_device().type == "cpu" else torch.device("cpu")
        if self._device is not None:
            self._device.__enter__()
        _INSIDE.verb = True

    def __exit__(self, *error: Any) -> None:
        _INSIDE.verb = False
        if self._device is not None:
            self._device.__exit__(*error)
        _TYPE.leave()


class _DefaultType:
    """torch's default type, which all threads share: the last one to leave puts the caller's back."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, torch.float32

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch.get_default_dtype()
            self._inside += 1
            if torch.get_default_dtype() != torch.float32:
                torch.set_default_dtype(torch.float32)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._before != torch.float32:
                torch.set_default_dtype(self._before)


_TYPE = _DefaultType()
