"""Who hears what happens: a notebook, a terminal, lines on standard error, nobody, or whoever was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from recurra.api.callbacks import NoCallback
from recurra.api.given import refusal
from recurra.base.contracts import Callback
from recurra.cli.progress import watching
from recurra.python.notebook import NotebookProgress, in_notebook

# True: what fits the place; False: nobody.
Progress: TypeAlias = bool | Callback
_VERBS = ("note", "start", "step", "scores", "done")


@contextmanager
def heard(progress: Progress) -> Iterator[Callback]:
    """The callback that `progress` asks for, tidied up at the end. Raises ConfigError for what is none."""
    if progress is True:
        with _in_a_notebook() if in_notebook() else watching() as callback:
            yield callback
        return
    yield NoCallback() if progress is False else _checked(progress)


def _checked(callback: Callback) -> Callback:
    missing = [verb for verb in _VERBS if not callable(getattr(callback, verb, None))]
    if missing or isinstance(callback, type):
        expected = f"True, False, or an object with the methods {', '.join(_VERBS)}"
        raise refusal("progress", expected, callback, "docs/guide/python.md shows one.")
    return callback


@contextmanager
def _in_a_notebook() -> Iterator[Callback]:
    callback = NotebookProgress()
    try:
        yield callback
    finally:
        callback.done()
