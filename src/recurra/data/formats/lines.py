"""The physical lines of a file, plain or gzip, one at a time: strict text, no NUL, never longer than a stated limit.

A text is UTF-8, unless its mark or whoever opens it says otherwise.

Lines end with LF or CR LF; where the first line (or as much of it as a line may have) holds no LF but a CR, the file is
of an old Mac, and they end with CR too. A ^Z at the end of the file, as DOS wrote it, is no text.

Memory stays bounded whatever the file holds: a gzip bomb is inflated a line at a time, and a line over the limit is
refused before the rest of it is read.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from recurra.base.errors import DataError, did_you_mean
from recurra.data.formats.encodings import HEAD, Transcoded, checked, codec_of_mark, guessed, marked, with_nul

MAX_LINE_BYTES = 8 * 2**20
# Of plain text: a corpus may be one line, as text8 is, of 100,000,000 bytes.
MAX_TEXT_LINE_BYTES = 128 * 2**20

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 64 * 2**10
_END = re.compile(rb"\r\n?|\n")
_DOS_END = b"\x1a"


class Line(NamedTuple):
    """One physical line. number: from 1. ending: what was cut off its end: "\\n", "\\r\\n", "\\r", or "" at the end."""

    number: int
    text: str
    ending: str


class Mark(NamedTuple):
    """Where a row begins: bytes, or whatever else a format counts in, and rows or lines that stand before it.

    near: whether nothing of what stands before has to be gone through again
    """

    place: int
    number: int
    near: bool


class BadRowError(DataError):
    """A row that cannot be read, while the rows after it can. line: what could be read of the line at fault."""

    def __init__(self, message: str, line: Line) -> None:
        super().__init__(message)
        self.line = line


class Lines:
    """Iterate over the lines of an open binary file; after a BadRowError, the next call goes on with the next line.

    path: as the user gave it, for messages.  number: lines that were read before these.  limit: bytes of a line.
    encoding: of the file, where it is not UTF-8, whose bytes `file` gives all the same      said: see `Rows`
    at_group: of lines there are no groups: each is read by itself
    Raises BadRowError for a line that is too long, not UTF-8 or holds NUL; DataError when the file itself is damaged.
    """

    at_group = False

    def __init__(
        self, file: BinaryIO, path: str, number: int = 0, *, limit: int = MAX_LINE_BYTES, encoding: str = ""
    ) -> None:
        self.path = path
        self.said: list[str] = []
        self._encoding = encoding
        self._whole, self._file = file, cast("BinaryIO | _OldMac", file)
        self._number = number
        self._limit = limit
        self._ends: tuple[bytes, ...] = (b"\r\n", b"\n")
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
        raw = self._readline(self._limit + 1)
        if self._number == 0:
            raw = self._first(raw)
        if len(raw) <= self._limit and not raw.endswith(self._ends):  # the end of the file
            raw = raw.rstrip(_DOS_END)
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) > self._limit:
            self._in_long_line = not raw.endswith(self._ends)
            raise self.bad(
                f"the line is longer than {self._limit:,} bytes, the limit. Is a line break missing? Of a text, "
                "`fold -s -w 100000` makes lines."
            )
        return self._decoded(raw)

    def rest(self) -> int:
        """How many lines are left, whatever they hold; they are gone then."""
        lf, cr, last = 0, 0, b""
        while chunk := self._readline(_CHUNK, self._file.read):
            lf, cr, last = lf + chunk.count(b"\n"), cr + chunk.count(b"\r"), chunk
        return (lf or cr) + (bool(last) and not last.endswith(b"\n" if lf else b"\r"))

    def chunk(self) -> bytes:
        """The next bytes, whole lines or not, for what is not made of lines; b"" at the end of the file."""
        return self._readline(_CHUNK, self._file.read)

    def put_back(self, lines: Iterable[Line | BadRowError]) -> None:
        """Make `lines`, the last ones taken, the next ones again; one that could not be read is its error."""
        self._returned.extendleft(reversed(list(lines)))

    def mark(self) -> Mark | None:
        """Where the next line begins; None where nothing leads there but the lines before it."""
        if self._returned or self._in_long_line or self._encoding or isinstance(self._file, _OldMac):
            return None
        return Mark(self._file.tell(), self._number, near=not isinstance(self._file, gzip.GzipFile))

    def go_to(self, mark: Mark) -> None:
        """Make the line at a mark of these lines the next one."""
        self._file = self._whole  # of an old Mac there is one mark, from before its first line was read
        self._whole.seek(mark.place)
        self._number, self._in_long_line = mark.number, False
        self._returned.clear()

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for `line` (by default the last one read), with `file:line` in front."""
        at = line or Line(self._number, "", "")
        return BadRowError(f"{self.path}:{at.number}: {message}", at)

    def _first(self, raw: bytes) -> bytes:
        """The first line, when it is known how lines end. Raises BadRowError for the mark of another encoding."""
        if sentence := marked(raw):
            self._number = 1
            self._in_long_line = not raw.endswith(self._ends)
            raise self.bad(sentence)
        raw = raw.removeprefix(_BOM)
        if b"\n" in raw or b"\r" not in raw:
            return raw
        self._ends = (b"\r\n", b"\n", b"\r")
        self._file = _OldMac(self._file, raw)
        return self._readline(self._limit + 1)

    def _decoded(self, raw: bytes) -> Line:
        if raw.endswith(b"\n"):
            ending = "\r\n" if raw.endswith(b"\r\n") else "\n"
        else:
            ending = "\r" if raw.endswith(self._ends) else ""
        body = raw[: len(raw) - len(ending)]
        if b"\0" in body:
            raise self.bad(with_nul(body, at_end=not ending))
        try:
            return Line(self._number, body.decode("utf-8"), ending)
        except UnicodeDecodeError as error:
            if self._encoding:
                number = len(body[: error.start].decode("utf-8")) + 1
                message = f"character {number} of the line is no {self._encoding}, as which it is read."
                raise self.bad(message, Line(self._number, body.decode("utf-8", "replace"), ending)) from None
            message = (
                f"byte {error.start + 1} of the line, 0x{body[error.start]:02X}, is not UTF-8. Set "
                "data.encoding to what it is, such as windows-1252, or convert the file with iconv."
            )
            raise self.bad(message, Line(self._number, body.decode("utf-8", "replace"), ending)) from None

    def _skip_rest_of_line(self) -> None:
        while (chunk := self._readline(_CHUNK)) and not chunk.endswith(self._ends):
            pass
        self._in_long_line = False

    def _readline(self, limit: int, read: Callable[[int], bytes] | None = None) -> bytes:
        try:
            return (read or self._file.readline)(limit)
        except (EOFError, zlib.error, OSError) as error:
            raise _damage(self.path, self._number + 1, error) from None


def _damage(path: str | Path, number: int, error: Exception) -> DataError:
    """What is said of a file that could not be read on at this line."""
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return DataError(f"{path}:{number}: cannot be read: {error.strerror}.")
    damage = "ends too early" if isinstance(error, EOFError) else f"is damaged ({error})"
    return DataError(f"{path}:{number}: the gzip file {damage}. Copy or download it again.")


class _OldMac:
    """A file whose lines end with CR. begun: what was read of it already."""

    def __init__(self, file: BinaryIO | _OldMac, begun: bytes) -> None:
        self._file = file
        self._read = begun
        self._at = 0

    def readline(self, limit: int) -> bytes:
        """The next line with its end, or `limit` bytes of it; b"" at the end of the file."""
        while True:
            found = _END.search(self._read, self._at, self._at + limit)
            # A CR that is the last byte read may have its LF behind it.
            if found and found.end() < len(self._read):
                return self._taken(found.end())
            if not found and len(self._read) - self._at >= limit:
                return self._taken(self._at + limit)
            more = self._file.readline(_CHUNK)
            if not more:
                return self._taken(found.end() if found else len(self._read))
            self._read, self._at = self._read[self._at :] + more, 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most about `size`; b"" at the end of the file."""
        return self._taken(len(self._read)) or self._file.read(size)

    def _taken(self, end: int) -> bytes:
        line, self._at = self._read[self._at : end], end
        return line


@contextmanager
def open_lines(
    path: Path, limit: int = MAX_LINE_BYTES, *, encoding: str | None = None, guess: bool = False
) -> Iterator[Lines]:
    """Open `path` as lines; gzip is recognised by its first two bytes, which no UTF-8 text begins with.

    encoding: of the file; None: UTF-8, or as its mark says, or, with `guess`, Windows-1252 where its bytes fit that
    Raises DataError when the file is missing, a folder, unreadable, or named .gz without being gzip; ConfigError for an
    encoding that is none.
    """
    codec = None if encoding is None else checked(encoding)
    with open_bytes(path) as file:
        told = ""
        if codec is None:
            codec = codec_of_mark(_peeked(file, path))
            told = f"read as {codec}, as its first bytes say." if codec else ""
        if not codec and not told and guess and encoding is None and path.is_file():  # a pipe cannot be read twice
            codec = guessed(_head(path))
            told = (
                f"read as {codec}: its bytes fit that, and are no UTF-8. data.encoding says otherwise." if codec else ""
            )
        if not codec:
            yield Lines(file, str(path), limit=limit)
            return
        lines = Lines(
            cast(BinaryIO, io.BufferedReader(Transcoded(file, codec))), str(path), limit=limit, encoding=codec
        )
        lines.said += [told] if told else []
        yield lines


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if it is gzip. Raises DataError as `open_lines` does."""
    with _opened(path) as file:
        if _peeked(file, path)[:2] == _GZIP_MAGIC:
            with gzip.open(file, "rb") as unpacked:
                yield cast(BinaryIO, unpacked)
        elif path.suffix == ".gz" and _peeked(file, path):
            raise DataError(f"{path}: is named .gz but is not a gzip file. Rename it, or copy it again.")
        else:
            yield file


def _peeked(file: Any, path: Path) -> bytes:
    """The first bytes. Raises DataError for a damaged gzip file."""
    try:
        return bytes(file.peek(4)[:4])
    except (EOFError, zlib.error, OSError) as error:
        raise _damage(path, 1, error) from None


def _head(path: Path) -> bytes:
    """The first bytes of a table; fewer of a damaged file, and whoever reads on will meet the damage."""
    try:
        with open_bytes(path) as file:
            return file.read(HEAD)
    except (EOFError, zlib.error, OSError):
        return b""


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
