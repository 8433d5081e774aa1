"""`main`: the command's word, its arguments, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from recurra import __version__
from recurra.base.errors import did_you_mean
from recurra.cli.arguments import Entry, parse
from recurra.cli.commands import COMMANDS
from recurra.cli.failures import DONE, YOUR_INPUT, UsageError, guarded
from recurra.cli.terminal import open_closed_streams, put, say, tolerate_narrow_encodings


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 your input, 130 Ctrl-C, 143 SIGTERM.

    argv: the words after the program's name; None takes those of the process
    """
    if argv is None:
        open_closed_streams()
        tolerate_narrow_encodings()
    words, debug = _without_debug(list(sys.argv[1:] if argv is None else argv))
    return guarded(lambda: _run(words), debug=debug)


def _run(words: list[str]) -> int:
    if not words:
        say(overview())
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


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """`--debug` may stand anywhere before `--`."""
    end = words.index("--") if "--" in words else len(words)
    before = [word for word in words[:end] if word != "--debug"]
    return before + words[end:], len(before) < end


def overview() -> str:
    """The text of `recurra --help`."""
    return f"""\
usage: recurra COMMAND ...

Train, explain and ship sequence models.

commands:
{_lines(COMMANDS)}

options:
  --version  print the version
  --debug    show the traceback of an error
  --help     show this text; `recurra COMMAND --help` shows a command's

Results go to standard output, messages to standard error.
Exit codes: 0 done, 1 failed, 2 invalid input, 130 Ctrl-C, 143 SIGTERM."""


def _lines(words: Iterable[str]) -> str:
    longest = max(map(len, COMMANDS))
    return "\n".join(f"  {word:<{longest}}  {COMMANDS[word].summary}" for word in words)
