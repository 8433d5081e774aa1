"""What may be typed: each command with its options and places, read from the parser that also writes its help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recurra.cli.arguments import parser_of
from recurra.cli.commands import COMMANDS
from recurra.cli.completion import names

# What a metavar asks for; of any other nothing can be offered.
RUN, FILE, FOLDER, WORDS, TEXT = "run", "file", "folder", "words", "text"
KINDS: Mapping[str, str] = {
    "RUN": RUN,
    "RUN_OR_BASELINE": RUN,
    "FOLDER": FOLDER,
    "FOLDER_OR_RUN": FOLDER,
    "DIR": FOLDER,
    "FILE": FILE,
    "FILE|RUN": FILE,
    "FILE|N": FILE,
    "COLUMN|FILE": FILE,
    "RULE|FILE": FILE,
    "CONFIG": FILE,
    "PATH": FILE,
    "PICTURE": FILE,
}
# Where `--set` stands, and the commands in which it says how a file is read, and nothing else.
OVERRIDES, READ_ONLY = "overrides", ("evaluate", "predict")
NAMES: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "TASK": names.tasks,
    "DEMO": names.demos,
    "TOPIC": names.topics,
    "DATASET": names.datasets,
    "DEVICE": lambda: ("auto", "cpu", "cuda"),
}


@dataclass(frozen=True, slots=True)
class Value:
    """What stands behind an option, or in a place. kind: run, file, folder, words or text; words: the choices."""

    kind: str
    name: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """An option by all its names. value: None for a switch; several: it may be repeated."""

    names: tuple[str, ...]
    help: str
    value: Value | None
    several: bool


@dataclass(frozen=True, slots=True)
class Place:
    """An argument without a name. several: it takes all that follow."""

    value: Value
    several: bool


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: its one or two words, and what may stand behind them."""

    word: str
    summary: str
    flags: tuple[Flag, ...]
    places: tuple[Place, ...]


def verbs() -> tuple[Verb, ...]:
    """All commands, in the order of `recurra --help`."""
    return tuple(map(verb, COMMANDS))


def verb(word: str) -> Verb:
    """One command, from its parser."""
    parser = parser_of(word, COMMANDS[word])
    keys = names.data_options if word in READ_ONLY else names.options
    flags = tuple(_flag(action, keys) for action in parser._actions if action.option_strings)
    places = tuple(_place(action) for action in parser._actions if not action.option_strings)
    return Verb(word, COMMANDS[word].summary, flags, places)


def _flag(action: argparse.Action, keys: Callable[[], tuple[str, ...]]) -> Flag:
    """keys: what `--set` takes"""
    value = None if action.nargs == 0 else _value(action)
    if action.dest == OVERRIDES:
        value = Value(WORDS, str(action.metavar), keys())
    return Flag(tuple(action.option_strings), action.help or "", value, isinstance(action, argparse._AppendAction))


def _place(action: argparse.Action) -> Place:
    return Place(_value(action), action.nargs in ("*", "+"))


def _value(action: argparse.Action) -> Value:
    name = str(action.metavar or action.dest.upper())
    if action.choices is not None:
        return Value(WORDS, name, tuple(map(str, action.choices)))
    if name in NAMES:
        return Value(WORDS, name, NAMES[name]())
    return Value(KINDS.get(name, TEXT), name)
