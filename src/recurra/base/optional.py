"""Packages that one feature needs and recurra does without: imported when it is used, named where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from recurra.base.errors import ConfigError


def needs(module: str, extra: str, what: str) -> Any:
    """A module. extra: of recurra, that installs it      what: needs it, as the beginning of a sentence

    Raises ConfigError, with the command to install it.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ConfigError(f'{what} needs {package}, which is not installed; pip install "recurra[{extra}]".') from None
