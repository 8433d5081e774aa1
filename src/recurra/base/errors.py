"""The errors a user can cause. Each message names the thing, the expected, the got, and the next step."""

from __future__ import annotations

from collections.abc import Iterable


class RecurraError(Exception):
    """The root: the command line prints one of these as a sentence, without a traceback."""


class ConfigError(RecurraError, ValueError):
    """A setting is wrong. `problems` holds every mistake found, one sentence each, with `file:line` where known."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(RecurraError, ValueError):
    """A data file holds something it should not; the message starts with `file:line`."""


class ShapeError(RecurraError, ValueError, RuntimeError):
    """A tensor has another shape, type or device than the one stated.

    Also a RuntimeError, because torch.nn raises one there and code that catches it should go on working.
    """


class RunError(RecurraError, ValueError):
    """A run folder or checkpoint is missing, damaged, newer than this recurra, or not what it claims to be."""


class TrainingError(RecurraError, RuntimeError):
    """Training cannot go on: a loss or gradient that is not finite, or a disk that is full."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence like " Did you mean 'lstm'?" with a leading space, or "" when nothing is near."""
    import difflib  # 8 ms that only a misspelt word needs

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
