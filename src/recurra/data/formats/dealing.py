"""Shards that several processes (ranks) read: each reads its own, and sends the rows to the others.

Shard k is read by rank k modulo their number, in rounds of one shard a rank. A rank writes the rows of its shard into a
file without a name; then all ranks get the shards of the round in their order, in pieces. So each file is copied and
read by one rank alone, all have the same rows in the same order as one process, and neither memory nor the disk holds
more than a shard besides.

Rows are sent as lines of JSON, of values that come back as they were; a shard with others is read by every rank.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.data.formats.bad_rows import BadRows
from recurra.data.formats.cursor import Cursor
from recurra.data.formats.lines import Mark
from recurra.data.formats.shards import Shard

# Bytes that are sent at once.
PIECE = 2**22
# Values that JSON gives back as they were; lists and objects of these too.
_SCALARS = (str, int, float, bool, type(None))

Note = Callable[[str], None]
ReadShard = Callable[[Shard, BadRows, Note], Iterator[Record]]


class Exchange(Protocol):
    """What is asked of the ranks. bytes_from: the source's bytes, on all of them; the others give None."""

    @property
    def number(self) -> int: ...
    @property
    def size(self) -> int: ...
    def bytes_from(self, source: int, data: bytes | None) -> bytes: ...


def dealt(
    shards: Sequence[Shard],
    records: ReadShard,
    bad_rows: BadRows,
    note: Note,
    exchange: Exchange,
    scratch: str | None = None,
    cursor: Cursor | None = None,
) -> Iterator[Record]:
    """The records of all shards in order, on every rank, of which each shard is read by one.

    cursor: of the reader; it has the marks of all files, in their order
    What the reader refuses and says of a file goes to `bad_rows` and `note` of every rank, at its place.
    Raises DataError as the reader of a shard does, on all ranks; and where they have found other files.
    """
    _check_alike(shards, exchange)
    for first in range(0, len(shards), exchange.size):
        some = shards[first : first + exchange.size]
        with tempfile.TemporaryFile(dir=scratch) as file:
            if exchange.number < len(some):
                _write(file, some[exchange.number], records, cursor)
            for source, shard in enumerate(some):
                if cursor is not None:
                    cursor.put(None)  # a mark leads to no row of another file
                for line in _lines(file if source == exchange.number else None, source, exchange):
                    yield from _said(json.loads(line), shard, records, bad_rows, note, cursor)


def agreed(exchange: Exchange | None, find: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Two words that the first rank finds; alone, those that are found."""
    if exchange is None:
        return find()
    first, second = json.loads(exchange.bytes_from(0, json.dumps(find()).encode() if exchange.number == 0 else None))
    return first, second


def _check_alike(shards: Sequence[Shard], exchange: Exchange) -> None:
    """Raise DataError where this rank has found other files than the first one."""
    listed = json.dumps([[shard.name, shard.size] for shard in shards])
    ours = f"{len(shards)} files {hashlib.sha256(listed.encode()).hexdigest()}".encode()
    theirs = exchange.bytes_from(0, ours if exchange.number == 0 else None)
    if ours != theirs:
        raise DataError(
            f"{shards[0].name}: rank {exchange.number} finds {len(shards):,} files, and they are not those of "
            f"rank 0, which finds {theirs.decode().partition(' ')[0]}. All hosts need the same files."
        )


class _UnsendableError(Exception):
    """A value that JSON would not give back as it was."""


class _Heard:
    """Writes down what the reader of a shard says and refuses."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.count, self.examples = 0, ()

    def refuse(self, problem: DataError) -> None:
        self.write("bad", str(problem))

    def note(self, message: str) -> None:
        self.write("note", message)

    def write(self, word: str, *values: Any) -> None:
        self._file.write(json.dumps([word, *values], separators=(",", ":")).encode() + b"\n")


def _write(file: IO[bytes], shard: Shard, records: ReadShard, cursor: Cursor | None) -> None:
    """What a shard has, as lines; or one word, where it has values that cannot be sent."""
    heard = _Heard(file)
    try:
        for record in records(shard, heard, heard.note):
            if cursor is not None and (mark := cursor.taken()) is not None:
                heard.write("mark", *mark)
            heard.write("row", *_plain(record, shard.name))
    except DataError as problem:
        heard.write("stop", str(problem))
    except _UnsendableError:
        file.seek(0)
        file.truncate()
        heard.write("own")
    if cursor is not None:
        cursor.taken()
    file.seek(0)


def _lines(file: IO[bytes] | None, source: int, exchange: Exchange) -> Iterator[bytes]:
    """The lines of a file that one rank has, on all ranks, a piece at a time."""
    begun: list[bytes] = []  # a row may be of many pieces, which are joined once
    while piece := exchange.bytes_from(source, None if file is None else file.read(PIECE)):
        end, *lines = piece.split(b"\n")
        begun.append(end)
        if lines:
            yield b"".join(begun)
            begun = [lines.pop()]
            yield from lines


def _said(
    line: Any, shard: Shard, records: ReadShard, bad_rows: BadRows, note: Note, cursor: Cursor | None
) -> Iterator[Record]:
    """What a line says: a record, or nothing, where it was something else that is handed on."""
    word, *values = line
    if word == "row":
        yield _record(values, shard.name)
    elif word == "bad":
        bad_rows.refuse(DataError(values[0]))
    elif word == "note":
        note(values[0])
    elif word == "mark":
        if cursor is not None:
            cursor.put(Mark(*values))
    elif word == "stop":
        raise DataError(values[0])
    else:
        yield from records(shard, bad_rows, note)


def _plain(record: Record, name: str) -> list[Any]:
    """A record as JSON has it: fields, names of those that are tuples, and where it stood."""
    tuples = [field for field, value in record.fields.items() if type(value) is tuple]
    for value in record.fields.values():
        _check(list(value) if type(value) is tuple else value)
    if record.steps:
        raise _UnsendableError
    path = None if record.origin.path == name else record.origin.path
    return [dict(record.fields), tuples, record.origin.line, path]


def _record(values: Sequence[Any], name: str) -> Record:
    fields, tuples, line, path = values
    for field in tuples:
        fields[field] = tuple(fields[field])
    return Record(fields, Origin(name if path is None else path, line))


def _check(value: Any) -> None:
    """Raise _UnsendableError for what is no value of JSON."""
    if type(value) in _SCALARS:
        return
    if type(value) is list:
        for one in value:
            _check(one)
    elif isinstance(value, Mapping) and type(value) is dict and all(type(key) is str for key in value):
        for one in value.values():
            _check(one)
    else:
        raise _UnsendableError
