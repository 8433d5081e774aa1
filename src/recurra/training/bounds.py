"""A constructor's `Opt` notes hold for Python callers too, not only for config files."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, get_type_hints

from recurra.base.errors import ConfigError
from recurra.base.option import Opt

P = ParamSpec("P")
T = TypeVar("T")


def bounded(constructor: Callable[P, T]) -> Callable[P, T]:
    """Check each keyword option against the bounds of its `Opt` note before the constructor runs.

    Raises ConfigError that names the option, the bound and the value; infinity and NaN are out of every bound.
    """
    hints = get_type_hints(constructor, include_extras=True)
    notes = {name: note for name, hint in hints.items() for note in getattr(hint, "__metadata__", ())}

    @wraps(constructor)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        broken = [
            f"{constructor.__qualname__.split('.')[0]}: {name}: {bound}, got {value!r}."
            for name, value in kwargs.items()
            if isinstance(value, int | float) and (bound := broken_bound(notes.get(name), value))
        ]
        if broken:
            raise ConfigError(broken)
        return constructor(*args, **kwargs)

    return checked


def broken_bound(note: Opt | None, value: float) -> str | None:
    """The first bound that `value` breaks, as words ("expected > 0"), or None."""
    if note is None:
        return None
    if not math.isfinite(value):
        return "expected a finite number"
    bounds = (
        (note.ge, ">=", note.ge is None or value >= note.ge),
        (note.gt, ">", note.gt is None or value > note.gt),
        (note.le, "<=", note.le is None or value <= note.le),
        (note.lt, "<", note.lt is None or value < note.lt),
    )
    return next(
        (f"expected {sign} {bound:g}" for bound, sign, holds in bounds if bound is not None and not holds), None
    )
