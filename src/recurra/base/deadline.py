"""Work that may be given up: who asks for it says what knows the time, and long work asks that now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

# Of this thread and what it computes, so that whoever computes elsewhere is never given up.
_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("recurra_deadline", default=None)


@contextmanager
def under_deadline(check: Callable[[], None]) -> Iterator[None]:
    """Have what is computed inside ask `check`, which raises where nobody waits for the answer any more."""
    before = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(before)


def check_deadline() -> None:
    """Raise what the deadline raises that is past; nothing where there is none.

    Asked where a model is entered, and between two parts of long work. Not while torch.compile reads a model, which
    knows no such variables: a compiled model runs to its end.
    """
    if torch.compiler.is_compiling():
        return
    check = _CHECK.get()
    if check is not None:
        check()
