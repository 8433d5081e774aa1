"""What CLDR says of a language, through the package Babel."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType

from recurra.base.errors import ConfigError


def locale_reader(data_set: str) -> ModuleType:
    """Babel's reader of locale data, in a copy of our own. Raises ConfigError where the package is missing."""
    require_babel(data_set)
    return _reader()


@cache
def _reader() -> ModuleType:
    """Babel's own remembers a language as it was first asked for, with or without what is inherited from others, for
    everybody in the process (Babel 2.18). With a copy, we neither get what another user of Babel loaded, nor spoil it
    for them."""
    spec = importlib.util.find_spec("babel.localedata")
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def require_babel(data_set: str) -> None:
    """Raise ConfigError unless the package Babel is there."""
    if importlib.util.find_spec("babel") is None:
        raise ConfigError(
            f'the data set {data_set} needs the package babel. Install it with `pip install "recurra[demo]"`.'
        )
