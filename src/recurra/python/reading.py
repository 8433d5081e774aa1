"""How a file is read, as keywords of a run: `columns={"text": "body"}` in the place of `--set data.columns=...`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from recurra.api.answers import OF_FILES
from recurra.api.evaluating import OF_DATA
from recurra.api.given import refusal
from recurra.base.errors import ConfigError, did_you_mean

# The options of a file's reading, and those of a run's own data, by their names in the section `data`.
FILE_OPTIONS = tuple(name.removeprefix("data.") for name in OF_FILES)
DATA_OPTIONS = tuple(name.removeprefix("data.") for name in OF_DATA)


def settings_of(options: Iterable[tuple[tuple[str, ...], Any]]) -> list[str]:
    """Options by their paths as settings of a command line: `data.columns={"text": "body"}`.

    Raises ConfigError for a value that a config cannot have.
    """
    return [f"{'.'.join(path)}={_as_text(path[-1], value)}" for path, value in options]


def split_options(options: Mapping[str, Any], *, is_file: bool) -> tuple[list[str], dict[str, Any]]:
    """Those that say how a file is read, as settings, and all others.

    Raises ConfigError for the first where there is no file.
    """
    reading = {name: value for name, value in options.items() if name in FILE_OPTIONS}
    if reading and not is_file:
        raise ConfigError([_without_a_file(name) for name in reading])
    others = {name: value for name, value in options.items() if name not in FILE_OPTIONS}
    return settings_of((("data", name), value) for name, value in reading.items()), others


def only_reading(options: Mapping[str, Any], *, is_file: bool, is_own: bool) -> list[str]:
    """The same where there is nothing else to choose; is_own: of the data that the run was trained on."""
    known = DATA_OPTIONS if is_own else FILE_OPTIONS
    if odd := [name for name in options if name not in known]:
        raise ConfigError(
            [
                f"{name}: evaluate has no such option.{did_you_mean(name, known)} Known: {', '.join(known)}."
                for name in odd
            ]
        )
    if options and not is_file and not is_own:
        raise ConfigError([_without_a_file(name) for name in options])
    return settings_of((("data", name), value) for name, value in options.items())


def _without_a_file(name: str) -> str:
    return f"{name}: says how a file is read, and the data are rows in memory. Leave it out, or give a pathlib.Path."


def _as_text(name: str, value: object) -> str:
    """A value as YAML reads it: JSON, with letters as they are (YAML knows no surrogate pairs)."""

    def plain(one: object) -> str:
        if isinstance(one, os.PathLike):
            return str(os.fspath(one))
        raise refusal(name, "text, numbers, lists or dicts", one)

    return json.dumps(value, ensure_ascii=False, default=plain)
