"""What several commands share: the parser, the common options, and an answer to a misspelt one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from recurra.base.errors import did_you_mean
from recurra.cli.failures import UsageError

# What every command takes; `recurra.cli.program` reads them, wherever they stand.
SWITCHES: Mapping[tuple[str, ...], str] = {
    ("-q", "--quiet"): "print results and errors, and nothing else",
    ("--no-color",): "no colours; NO_COLOR in the environment means the same",
    ("--debug",): "show the traceback of an error",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its arguments, what it does (the exit code comes back), and examples.

    about: what its help says first; "": as the list of commands does
    meant: another command that these arguments are for, or None      surplus: what is said where there are too many
    """

    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    examples: str
    about: str = ""
    meant: Callable[[Sequence[str]], Command | None] = lambda arguments: None
    surplus: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of `recurra --help`, and where the command is: importing all of them takes longer than running one."""

    summary: str
    file: str
    name: str = "COMMAND"

    def load(self) -> Command:
        """Import the command's file, and no other's."""
        command: Command = getattr(import_module(f"recurra.cli.commands.{self.file}"), self.name)
        return command


class _Parser(argparse.ArgumentParser):
    """argparse, with a mistake as an exception instead of an exit: `error` is the hook argparse has for that."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}. See `{self.prog} --help`.")


def parser_of(word: str, entry: Entry, arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of a command: its arguments, its help, and what completion and the manual page say of it."""
    command = _meant(entry, arguments)
    parser = _Parser(
        prog=f"recurra {word}",
        description=command.about or entry.summary,
        epilog=f"examples:\n{command.examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    for names, what in SWITCHES.items():
        parser.add_argument(*names, action="store_true", help=what)
    parser.set_defaults(act=command.run)
    return parser


def _meant(entry: Entry, arguments: Sequence[str]) -> Command:
    command = entry.load()
    return command.meant(arguments) or command


def parse(word: str, entry: Entry, arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command. Options may stand before, between and after the others.

    `act` of them is what is to be done.
    Raises UsageError for what is unknown, missing or of the wrong kind; SystemExit(0) after `--help`.
    """
    parser = parser_of(word, entry, arguments)
    namespace, rest = parser.parse_known_intermixed_args(list(arguments))
    if rest:
        raise UsageError(_unexpected(parser, rest[0], _meant(entry, arguments).surplus))
    _decode(parser, namespace)
    return namespace


def _decode(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> None:
    """Read texts that the locale's encoding could not as UTF-8, which terminals speak in a C locale too.

    A path may be any bytes, and stays. Raises UsageError for a text that is neither.
    """
    for action in parser._actions:
        given = getattr(namespace, action.dest, None)
        if action.metavar == "FILE":
            continue
        if isinstance(given, str):
            setattr(namespace, action.dest, _text(parser, action, given))
        elif isinstance(given, list):
            texts = [_text(parser, action, one) if isinstance(one, str) else one for one in given]
            setattr(namespace, action.dest, texts)


def _text(parser: argparse.ArgumentParser, action: argparse.Action, text: str) -> str:
    if not any("\udc80" <= character <= "\udcff" for character in text):  # PEP 383: bytes that could not be decoded
        return text
    data = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{parser.prog}: {action.metavar or action.dest}: byte 0x{data[error.start]:02x} is not UTF-8: '{text}'. "
            "Write the text in UTF-8, or in a file."
        ) from None


def _unexpected(parser: argparse.ArgumentParser, word: str, surplus: str) -> str:
    flag = word.partition("=")[0]
    if not flag.startswith("-") or flag == "-":
        return f"{parser.prog}: unexpected argument '{word}'. {surplus or f'See `{parser.prog} --help`.'}"
    flags = [name for action in parser._actions for name in action.option_strings]
    hint = did_you_mean(flag, flags) or f" See `{parser.prog} --help`."
    return f"{parser.prog}: unknown option '{flag}'.{hint}"


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a training run")


def add_beside(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with",
        dest="beside",
        metavar="FIELD=TEXT",
        action="append",
        default=[],
        help='another field that the run reads beside TEXT: context="Oslo is the capital."; may be repeated',
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set an option, e.g. model.encoder.hidden_size=512; may be repeated",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="DEVICE", default="auto", help="cpu, cuda, cuda:1, ...; auto takes the best (default: auto)"
    )


def add_cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell",
        dest="cells",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a Python file with your own cells, which is run; may be repeated",
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        choices=("float32", "bfloat16", "bfloat16_products", "int8"),
        default="float32",
        help="what the matrices of recurrent layers become: bfloat16 takes half the memory, int8 a quarter, with "
        "rounded numbers; bfloat16_products rounds what they multiply too, and is faster on processors with AMX or "
        "AVX512-BF16 (default: float32)",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 63):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got '{text}'")
    return int(text)


def natural(text: str) -> int:
    """A whole number from 0 to 2**63 - 1, the seeds that every generator takes."""
    if not (text.isascii() and text.isdigit() and int(text[:20]) < 1 << 63):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got '{text}'")
    return int(text)
