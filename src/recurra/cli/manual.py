"""The manual page of the program, in the language of man(7), from the parsers that also write the help."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from recurra import __version__
from recurra.cli.arguments import SWITCHES, parser_of
from recurra.cli.commands import COMMANDS
from recurra.cli.failures import EXIT_CODES

ENVIRONMENT = {
    "NO_COLOR": "No colours, if it is set and not empty.",
    "TERM": "With dumb, neither colours nor progress bars.",
    "RECURRA_API_KEY": "The key that clients of recurra serve must send, unless a file is named for it.",
}


def manual() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH RECURRA 1 "" "recurra {__version__}" "User Commands"'
    yield from (".SH NAME", r"recurra \- train, explain and ship sequence models")
    yield from (".SH SYNOPSIS", ".B recurra", r".I COMMAND", r"\&...")
    yield from (".SH DESCRIPTION", "Results go to standard output, messages to standard error.")
    yield ".SH COMMANDS"
    for word, entry in COMMANDS.items():
        yield from _command(parser_of(word, entry), word, entry.load().examples)
    yield from (
        ".SH OPTIONS OF EVERY COMMAND",
        *(line for names, what in SWITCHES.items() for line in _item(names, what)),
    )
    codes = {str(int(code)): meaning for code, meaning in EXIT_CODES.items()}
    for title, entries in (("EXIT STATUS", codes), ("ENVIRONMENT", ENVIRONMENT)):
        yield from (f".SH {title}", *(line for name, what in entries.items() for line in _item((name,), what)))


def _command(parser: argparse.ArgumentParser, word: str, examples: str) -> Iterator[str]:
    yield from (f".SS recurra {word}", *_sentence(f"{parser.description}."))
    yield from (".P", *_sentence(" ".join(parser.format_usage().split())))
    shared = {name for names in SWITCHES for name in names}
    for action in parser._actions:
        if not (shared | {"--help"}).intersection(action.option_strings):
            yield from _item(tuple(action.option_strings) or ("",), action.help or "", _value(action))
    yield from (".P", "Examples:", ".P", ".nf", ".RS", *map(_plain, examples.splitlines()), ".RE", ".fi")


def _value(action: argparse.Action) -> str:
    """What stands behind an option, or in a place, as the help writes it."""
    if action.nargs == 0:
        return ""
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())


def _item(names: tuple[str, ...], what: str, value: str = "") -> Iterator[str]:
    """A name in bold with its value in italics, and what it means below."""
    bold = ", ".join(rf"\fB{_plain(name)}\fR" for name in names if name)
    said = " ".join(part for part in (bold, rf"\fI{_plain(value)}\fR" if value else "") if part)
    yield from (".TP", said, *_sentence(what))


def _sentence(text: str) -> Iterator[str]:
    """Text in one line, which the formatter fills."""
    yield _plain(" ".join(text.split()))


def _plain(text: str) -> str:
    """Text as it is: a line that begins with a point is no request, and a hyphen stays one that can be copied."""
    escaped = text.strip().replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped
