"""Options of `predict`: those that a task has work, all others are refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recurra.base.errors import ConfigError, did_you_mean


def refuse_options(options: Iterable[str], task: str, known: Sequence[str]) -> None:
    """Raise ConfigError, one sentence each, for options that a task does not have."""
    problems = [
        f"{name}: has no effect, because a {task} has no such option of predict."
        + (did_you_mean(name, known) or (f" Known: {', '.join(known)}." if known else " Leave it out."))
        for name in options
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
