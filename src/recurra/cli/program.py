"""`main`: the command's word, its arguments, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from recurra import __version__
from recurra.base.errors import did_you_mean
from recurra.cli.arguments import SWITCHES, Entry, parse
from recurra.cli.commands import COMMANDS
from recurra.cli.failures import DONE, EXIT_CODES, YOUR_INPUT, UsageError, guarded
from recurra.cli.terminal import complain, open_closed_streams, put, tolerate_narrow_encodings, wanting


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 your input, 130 Ctrl-C, 143 SIGTERM.

    argv: the words after the program's name; None takes those of the process
    """
    if argv is None:
        open_closed_streams()
        tolerate_narrow_encodings()
    words, given = _without_switches(list(sys.argv[1:] if argv is None else argv))
    with wanting(quiet=not given.isdisjoint(("-q", "--quiet")), colour="--no-color" not in given):
        return guarded(lambda: _run(words), debug="--debug" in given)


def _run(words: list[str]) -> int:
    if not words:
        complain(overview())
        return YOUR_INPUT
    if words[0] in ("-h", "--help"):
        put(overview())
        return DONE
    if words[0] == "--version":
        put(f"recurra {__version__}")
        return DONE
    if words[1:] in (["-h"], ["--help"]) and words[0] not in COMMANDS and _group(words[0]):
        put(f"usage: recurra {words[0]} COMMAND ...\n\ncommands:\n{_lines(_group(words[0]))}")
        return DONE
    word, entry, arguments = _command(words)
    try:
        namespace = parse(word, entry, arguments)
    except SystemExit:  # argparse has printed the help
        return DONE
    code: int = namespace.act(namespace)
    return code


def _command(words: list[str]) -> tuple[str, Entry, list[str]]:
    """The command that the first word, or the first two (`data list`), name; and its arguments."""
    for length in (1, 2):
        word = " ".join(words[:length])
        if word in COMMANDS and len(words) >= length:
            return word, COMMANDS[word], words[length:]
    group = _group(words[0])
    if not group:
        raise UsageError(_unknown(words[0], {word.partition(" ")[0] for word in COMMANDS}))
    if len(words) == 1:
        raise UsageError(f"recurra {words[0]}: expected one of: {', '.join(group)}.")
    raise UsageError(_unknown(" ".join(words[:2]), group))


def _group(first: str) -> list[str]:
    """The commands of two words that begin with `first`."""
    return [word for word in COMMANDS if word.startswith(f"{first} ")]


def _unknown(word: str, known: Sequence[str] | set[str]) -> str:
    what = "option" if word.startswith("-") else "command"
    return f"recurra: unknown {what} '{word}'.{did_you_mean(word, sorted(known)) or ' See `recurra --help`.'}"


def _without_switches(words: list[str]) -> tuple[list[str], set[str]]:
    """The words without the switches of all commands, which may stand anywhere before `--`; and those that do."""
    end = words.index("--") if "--" in words else len(words)
    switches = {name for names in SWITCHES for name in names}
    return [word for word in words[:end] if word not in switches] + words[end:], switches.intersection(words[:end])


def overview() -> str:
    """The text of `recurra --help`."""
    return f"""\
usage: recurra COMMAND ...

Train, explain and ship sequence models.

commands:
{_lines(COMMANDS)}

options:
  --version  print the version
  --help     show this text; `recurra COMMAND --help` shows a command's
and of every command:
{_switches()}

Results go to standard output, messages to standard error.
Exit codes: {", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())}."""


def _switches() -> str:
    return "\n".join(f"  {', '.join(names):<11}  {what}" for names, what in SWITCHES.items())


def _lines(words: Iterable[str]) -> str:
    longest = max(map(len, COMMANDS))
    return "\n".join(f"  {word:<{longest}}  {COMMANDS[word].summary}" for word in words)
