"""The physical lines of a file, plain or gzip, one at a time: strict UTF-8, no NUL, never longer than a stated limit.

Memory stays bounded whatever the file holds: a gzip bomb is inflated a line at a time, and a line over the limit is
refused before the rest of it is read.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from recurra.base.errors import DataError, did_you_mean

MAX_LINE_BYTES = 8 * 2**20

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 64 * 2**10


class Line(NamedTuple):
    """One physical line. number: from 1. ending: what was cut off its end: "\\n", "\\r\\n" or "" at the end of file."""

    number: int
    text: str
    ending: str


class BadRowError(DataError):
    """A row that cannot be read, while the rows after it can. line: what could be read of the line at fault."""

    def __init__(self, message: str, line: Line) -> None:
        super().__init__(message)
        self.line = line


class Lines:
    """Iterate over the lines of an open binary file; after a BadRowError, the next call goes on with the next line.

    path: as the user gave it, for messages.  number: lines that were read before these.
    Raises BadRowError for a line that is too long, not UTF-8 or holds NUL; DataError when the file itself is damaged.
    """

    def __init__(self, file: BinaryIO, path: str, number: int = 0) -> None:
        self.path = path
        self._file = file
        self._number = number
        self._in_long_line = False
        self._returned: deque[Line | BadRowError] = deque()

    @property
    def number(self) -> int:
        """How many lines were read from the file so far."""
        return self._number

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        if self._returned:
            if isinstance(again := self._returned.popleft(), BadRowError):
                raise again
            return again
        if self._in_long_line:
            self._skip_rest_of_line()
        raw = self._readline(MAX_LINE_BYTES + 1)
        if self._number == 0:
            raw = raw.removeprefix(_BOM)
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) > MAX_LINE_BYTES:
            self._in_long_line = not raw.endswith(b"\n")
            raise self.bad(f"the line is longer than {MAX_LINE_BYTES:,} bytes, the limit. Is a line break missing?")
        return self._decoded(raw)

    def rest(self) -> int:
        """How many lines are left, whatever they hold; they are gone then."""
        number, last = 0, b""
        while chunk := self._readline(_CHUNK, self._file.read):
            number, last = number + chunk.count(b"\n"), chunk
        return number + (bool(last) and not last.endswith(b"\n"))

    def put_back(self, lines: Iterable[Line | BadRowError]) -> None:
        """Make `lines`, the last ones taken, the next ones again; one that could not be read is its error."""
        self._returned.extendleft(reversed(list(lines)))

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for `line` (by default the last one read), with `file:line` in front."""
        at = line or Line(self._number, "", "")
        return BadRowError(f"{self.path}:{at.number}: {message}", at)

    def _decoded(self, raw: bytes) -> Line:
        ending = "\r\n" if raw.endswith(b"\r\n") else "\n" if raw.endswith(b"\n") else ""
        body = raw[: len(raw) - len(ending)]
        if b"\0" in body:
            hint = " The file looks like UTF-16." if body.count(b"\0") * 3 > len(body) else ""
            raise self.bad(f"byte {body.index(0) + 1} of the line is NUL.{hint} Save it as UTF-8 text.")
        try:
            return Line(self._number, body.decode("utf-8"), ending)
        except UnicodeDecodeError as error:
            message = (
                f"byte {error.start + 1} of the line, 0x{body[error.start]:02X}, is not UTF-8. Convert the file, "
                "e.g. with `iconv -f WINDOWS-1252 -t UTF-8`."
            )
            raise self.bad(message, Line(self._number, body.decode("utf-8", "replace"), ending)) from None

    def _skip_rest_of_line(self) -> None:
        while (chunk := self._readline(_CHUNK)) and not chunk.endswith(b"\n"):
            pass
        self._in_long_line = False

    def _readline(self, limit: int, read: Callable[[int], bytes] | None = None) -> bytes:
        try:
            return (read or self._file.readline)(limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            damage = "ends too early" if isinstance(error, EOFError) else f"is damaged ({error})"
            raise DataError(
                f"{self.path}:{self._number + 1}: the gzip file {damage}. Copy or download it again."
            ) from None
        except OSError as error:
            raise DataError(f"{self.path}:{self._number + 1}: cannot be read: {error.strerror}.") from None


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """Open `path` as lines; gzip is recognised by its first two bytes, which no UTF-8 text begins with.

    Raises DataError when the file is missing, a folder, unreadable, or named .gz without being gzip.
    """
    with _opened(path) as file:
        if file.peek(2)[:2] == _GZIP_MAGIC:  # type: ignore[attr-defined]  # a BufferedReader: open(..., "rb")
            with gzip.open(file, "rb") as unpacked:
                yield Lines(cast(BinaryIO, unpacked), str(path))
        elif path.suffix == ".gz" and file.peek(1):  # type: ignore[attr-defined]
            raise DataError(f"{path}: is named .gz but is not a gzip file. Rename it, or copy it again.")
        else:
            yield Lines(file, str(path))


def refuse_missing(path: Path) -> None:
    """Raise DataError, as `open_lines` does, for a file that is missing or a folder; a pipe is not touched."""
    if not path.exists() or path.is_dir():
        _opened(path).close()


def count_lines(path: Path) -> int:
    """Lines of a file, plain or gzip, without reading what they say. Raises DataError as `open_lines` does."""
    with open_lines(path) as lines:
        return lines.rest()


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.{_neighbour(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, expected a file.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{str(path)!r}: cannot be opened: {error}.") from None


def _neighbour(path: Path) -> str:
    try:
        return did_you_mean(path.name, os.listdir(path.parent))
    except OSError:
        return f" The folder '{path.parent}' does not exist either."
