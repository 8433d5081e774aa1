"""Training rows that stay in their files (`data.shuffle_buffer`): how these are read again, and become examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from recurra.api.options import DataOptions
from recurra.base.contracts import Listener, Record
from recurra.base.errors import ConfigError, DataError
from recurra.base.words import counted
from recurra.data.formats import FORMATS, ON_ERROR, is_sharded, read, shards_of
from recurra.data.formats.bad_rows import BadRows
from recurra.data.formats.cursor import Cursor
from recurra.data.formats.lines import refuse_missing
from recurra.data.formats.shards import Shard
from recurra.data.preparing import Means
from recurra.data.store import OnDisk, Passing, Reread, RereadRows
from recurra.data.store.scratch import scratch_folder
from recurra.data.store.stored import Writer
from recurra.tasks import LeavesOut, RereadsRows, Task

# The rows of good records of a file; others are refused.
Good = Callable[[Iterable[Record], BadRows], Iterator[Any]]
# Rows of a window between two marks: one for so many; rows at most.
MARKS, APART = 64, 32
# Pieces of files in a window, and rows that each has at least.
PIECES, PIECE = 16, 64


class InFiles:
    """Keeps rows where they are: they are counted, file by file, and read again when they are asked for."""

    def __init__(
        self, shards: Sequence[Shard], format: str, fields: Sequence[str], data: DataOptions, good: Good
    ) -> None:
        """format, fields: as of `recurra.data.formats.read`      good: what made rows of records before"""
        self._shards, self._format, self._fields, self._data, self._good = shards, format, fields, data, good
        buffer = data.shuffle_buffer or 1
        self.cursor = Cursor(min(max(buffer // MARKS, 1), APART))
        self._elsewhere = any(shard.system is not None for shard in shards)
        # Of a file elsewhere a part is copied where marks are bytes; else each piece would take a copy of the file.
        self._piece = max(buffer // PIECES, PIECE) if FORMATS[format].by_line or not self._elsewhere else 0

    def rows(self, rows: Iterable[Any], codec: Any) -> Any:
        """All rows. Raises ConfigError for those of a file that cannot be mixed."""
        names = [shard.name for shard in self._shards]
        how: Any = {"piece": self._piece, "ranged": self._elsewhere and self._piece > 0}
        found: RereadRows[Any] = RereadRows.counted(rows, self._read, names, self.cursor, **how)
        if len(names) == 1 and len(found.bounds) == 2 and len(found) > (buffer := self._data.shuffle_buffer or 1):
            by_line = FORMATS[self._format].by_line and len(found) <= self._piece
            raise _small(names[0], len(found), self._piece, buffer) if by_line else _alone(names[0])
        return found

    def _read(self, file: int, cursor: Cursor) -> Iterator[Any]:
        """The good rows of a file. What is wrong with the others was said when they were read first.

        Raises DataError for a file of another size than before.
        """
        data, shard = self._data, self._shards[file]
        _refuse_changed(shard)
        bad_rows, options = ON_ERROR[data.on_error](), data.reading
        if cursor.wanted is not None and "encoding" in FORMATS[self._format].options:
            options["encoding"] = "utf-8"  # others have no marks: its first MiB need not be looked at again
        records = read(
            replace(shard, ranges=cursor.ranges),
            format=self._format,
            **options,
            fields=self._fields,
            bad_rows=bad_rows,
            scratch=str(scratch_folder(data.scratch)),
            cursor=cursor,
        )
        return self._good(records, bad_rows)


def _refuse_changed(shard: Shard) -> None:
    if shard.system is None and os.path.exists(shard.name) and (now := os.path.getsize(shard.name)) != shard.size:
        raise DataError(
            f"{shard.name}: has {now:,} bytes, and had {shard.size:,} when the data was prepared. Was it changed "
            "meanwhile? Put it back, and resume."
        )


def in_files(path: Path, format: str, fields: Sequence[str], data: DataOptions, watch: Listener, good: Good) -> InFiles:
    """What keeps the training rows; all but path and watch as of `InFiles`.

    Raises ConfigError for a single file that is not read from its middle, DataError for one that is missing.
    """
    if FORMATS[format].marked and not is_sharded(path):
        refuse_missing(path)
    found = shards_of(path) if is_sharded(path) else _shard(path)
    if not found or (len(found) == 1 and (not FORMATS[format].marked or path.suffix == ".gz")):
        raise _alone(str(path))
    watch.note(
        f"data.shuffle_buffer: the rows of {counted(len(found), 'file')} stay there, and are read again in each epoch, "
        f"pieces of files in an order that is drawn, {data.shuffle_buffer:,} rows mixed at once."
    )
    return InFiles(found, format, fields, data, good)


def _shard(path: Path) -> list[Shard]:
    """A file that is named alone; none for what is no file."""
    return [Shard(str(path), path.stat().st_size)] if path.is_file() else []


def _alone(name: str) -> ConfigError:
    return ConfigError(
        f"data.shuffle_buffer: {name}: is one file that cannot be read from its middle, so rows that are far apart "
        "would not be mixed. Expected CSV, TSV, JSON Lines or text in UTF-8 that is not packed, Parquet here in "
        "several row groups, or several files (a glob, a folder of Parquet files, a URL of them); or leave it out."
    )


def _small(name: str, rows: int, piece: int, buffer: int) -> ConfigError:
    return ConfigError(
        f"data.shuffle_buffer: {name}: has {rows:,} rows, and is read in pieces of {piece:,}, so with {buffer:,} at "
        f"once they would not be mixed. Set it to {rows} or more, or leave it out: so few rows fit into memory."
    )


def set_aside(rows: dict[str, Collection[Any]], plan: Any, means: Means) -> dict[str, Collection[Any]]:
    """The rows of each split; where those of train stay in their files, others are kept when these are read next."""
    train = rows["train"]
    if not isinstance(train, RereadRows):
        return rows
    writer = partial(Writer, cast(OnDisk, means.keeping).scratch, plan.row_codec, examples=False)
    others = {name: own for name, own in rows.items() if isinstance(own, RereadRows) and name != "train"}
    return {**rows, **{name: train.beside(own, writer) for name, own in others.items()}}


def fitted(plan: Any, rows: RereadRows[Any], source: str, means: Means, buffer: int) -> tuple[Task, Reread[Any]]:
    """The task that training rows in files make, and these rows as its examples."""
    own = means if cast(RereadsRows, plan).keeps_tokens else replace(means, keeping=Passing(means.keeping))
    task, _ = plan.fit_examples(rows, source, own)  # its examples would be of one pass
    return task, examples_again(task, rows, means, buffer)


def examples_again(task: Any, rows: RereadRows[Any], means: Means, buffer: int) -> Reread[Any]:
    """Training rows in files as examples, which are made again whenever they are asked for."""
    make = task.training_examples if isinstance(task, LeavesOut) else task.examples

    def first() -> Iterator[Any]:
        return iter(make(means.watched("encoding", rows, len(rows)), means))

    return Reread(rows, partial(make, means=means), buffer, first, cast(OnDisk, means.keeping).scratch)
