"""Results go to standard output, messages to standard error; colours and bars only where a person looks."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import math
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks of all output. quiet: results and errors only; colour: where a terminal has it"""

    quiet: bool = False
    colour: bool = True


# Of the command that runs; `wanting` sets it, and everything below asks it.
_wanted = Wanted()


@contextmanager
def wanting(*, quiet: bool, colour: bool) -> Iterator[None]:
    """Run a command with `--quiet` or `--no-color`."""
    global _wanted
    before, _wanted = _wanted, Wanted(quiet, colour)
    try:
        yield
    finally:
        _wanted = before


def is_quiet() -> bool:
    """Are only results and errors wanted?"""
    return _wanted.quiet


def has_colour(stream: TextIO) -> bool:
    """Are colours wanted on `stream`: a terminal, without `--no-color` and NO_COLOR (no-color.org)?"""
    return is_terminal(stream) and _wanted.colour and not os.environ.get("NO_COLOR")


def shows_progress() -> bool:
    """Is there a line on standard error that may be written over, and are messages wanted?"""
    return is_terminal(sys.stderr) and not _wanted.quiet


def console(stream: TextIO) -> Console:
    """rich on a stream, with colours where they are wanted."""
    from rich.console import Console

    return Console(file=stream, highlight=False, no_color=not has_colour(stream))


def say(message: str) -> None:
    """A message for a person, on standard error; `--quiet` leaves it out."""
    if not _wanted.quiet:
        complain(message)


def complain(message: str) -> None:
    """An error, on standard error.

    What standard error cannot take (a full disk, a reader that has gone) is lost: it is no reason for another exit
    code than the one that the message is about.
    """
    with contextlib.suppress(OSError):
        print(printable(message), file=sys.stderr, flush=True)


def put(text: str) -> None:
    """A result, on standard output."""
    print(text)


def flush() -> None:
    """Give out what was put so far: who asks line by line waits for it."""
    sys.stdout.flush()


def put_text_file(text: str) -> None:
    """What is to become a text file, on standard output: UTF-8 where the locale has not all of its characters."""
    stream: Any = sys.stdout
    if _holds(stream, text) or not hasattr(stream, "buffer"):
        put(text.removesuffix("\n"))
        return
    stream.flush()
    stream.buffer.write(text.encode("utf-8", "surrogateescape"))


def put_json(value: Any, *, indent: int | None = 2) -> None:
    """A result for a program, on standard output; a number that is not finite becomes null, as JSON has none.

    indent: None for all of it in one line
    JSON is UTF-8: where the stream is anything else, what is beyond ASCII is escaped.
    """
    is_utf8 = _encoding(sys.stdout) == "utf-8"
    put(json_text(value, indent=indent) if is_utf8 else _dumped(plain(value), indent, ascii=True))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that UTF-8 can hold: half of a surrogate pair, which it cannot, has all of it escaped."""
    text = _dumped(plain(value), indent, ascii=False)
    return text if _encodes(text, "utf-8") else _dumped(plain(value), indent, ascii=True)


def _dumped(value: Any, indent: int | None, *, ascii: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii, indent=indent, allow_nan=False)


def _encoding(stream: TextIO) -> str:
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name


def _holds(stream: TextIO, text: str) -> bool:
    return _encodes(text, _encoding(stream))


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def plain(value: Any) -> Any:
    """`value` in what JSON has: maps with text keys, lists, text, finite numbers, true, false, null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if getattr(value, "ndim", 0) > 0:  # an array, whose own text leaves out numbers in its middle
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def is_terminal(stream: TextIO) -> bool:
    """Does a person look at `stream`, on a terminal that can move its cursor?"""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """`text` without control characters, so that no data can drive a terminal; line ends and tabs stay.

    A byte that Python could not decode (PEP 383: U+DC80 and up) is shown as one.
    """
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code > 0xFF and not 0xDC80 <= code <= 0xDCFF:
        return f"\\u{code:04x}"
    return f"\\x{code & 0xFF:02x}"


def one_line(text: str) -> str:
    """`text` in one line, without control characters."""
    return printable(" ".join(text.split()))


def open_closed_streams() -> None:
    """Put /dev/null where a standard stream was closed (`2>&-`).

    Else the next file that is opened takes its number, and what libraries say on standard error goes into a checkpoint.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            if os.open(os.devnull, os.O_RDWR) != number:  # the lowest number that is free, by POSIX
                continue
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the process


def tolerate_narrow_encodings() -> None:
    """Write what a stream cannot encode as an escape: output in an ASCII locale must not end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def width(text: str) -> int:
    """Columns that `text` takes on a terminal: two for wide East Asian characters, none for combining marks."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)
