"""Training rows that stay in their files (`data.shuffle_buffer`): how these are read again, and become examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from recurra.api.schema import Settings
from recurra.base.contracts import Listener
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import ON_ERROR, is_sharded, read, shards_of
from recurra.data.formats.shards import Shard
from recurra.data.preparing import Means
from recurra.data.store import FileRows, OnDisk, Passing, Reread, RereadRows
from recurra.tasks import LeavesOut, ReadsOnce, RereadsRows, Task


class InFiles:
    """Keeps rows where they are: they are counted, file by file, and read again when they are asked for."""

    def __init__(self, shards: Sequence[Shard], format: str, fields: Sequence[str], settings: Settings) -> None:
        """format, fields: as of `recurra.data.formats.read`"""
        self._shards, self._format, self._fields, self._settings = shards, format, fields, settings

    def rows(self, rows: Iterable[Any], codec: Any) -> Any:
        """All rows."""
        return FileRows.counted(rows, self._read, [shard.name for shard in self._shards])

    def _read(self, file: int) -> Iterator[Any]:
        """The good rows of a file. What is wrong with the others was said when they were read first."""
        data, plan = self._settings.data, cast(ReadsOnce, self._settings.plan)
        bad_rows = ON_ERROR[data.on_error]()
        records = read(
            self._shards[file],
            format=self._format,
            **data.reading,
            fields=self._fields,
            bad_rows=bad_rows,
            scratch=data.scratch,
        )
        for record in records:
            try:
                row = plan.read(record)
            except DataError as problem:
                bad_rows.refuse(problem)
            else:
                yield row


def in_files(path: Path, format: str, fields: Sequence[str], settings: Settings, watch: Listener) -> InFiles:
    """What keeps the training rows. Raises ConfigError for a single file."""
    found = shards_of(path) if is_sharded(path) else []
    if len(found) < 2:
        raise ConfigError(
            f"data.shuffle_buffer: data.train is one file, and the order of files is what mixes rows that are far "
            f"apart; expected several (a glob, a folder of Parquet files, a URL of these), or leave it out: {path}."
        )
    buffer = settings.data.shuffle_buffer
    watch.note(
        f"data.shuffle_buffer: the rows of {len(found):,} files stay there, and are read again in each epoch, the "
        f"files in an order that is drawn, {buffer:,} rows mixed at once."
    )
    return InFiles(found, format, fields, settings)


def fitted(plan: Any, rows: RereadRows[Any], source: str, means: Means, buffer: int) -> tuple[Task, Reread[Any]]:
    """The task that training rows in files make, and these rows as its examples."""
    own = means if cast(RereadsRows, plan).keeps_tokens else replace(means, keeping=Passing(means.keeping))
    task, _ = plan.fit_examples(rows, source, own)  # its examples would be of one pass
    return task, examples_again(task, rows, means, buffer)


def examples_again(task: Any, rows: RereadRows[Any], means: Means, buffer: int) -> Reread[Any]:
    """Training rows in files as examples, which are made again whenever they are asked for."""
    make = task.training_examples if isinstance(task, LeavesOut) else task.examples
    watched = means.watched("encoding", rows, len(rows))
    scratch = cast(OnDisk, means.keeping).scratch
    return Reread.of(rows, watched, partial(make, means=means), buffer, scratch)
