"""The data of a training as files: those that are named, and those that rows in memory are written to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recurra.api.given import path_of
from recurra.api.places import RunFolder
from recurra.base.contracts import Listener
from recurra.base.errors import ConfigError, DataError
from recurra.python.rows import is_path, rows_of, write_rows


@contextmanager
def files_of(folder: Path, given: Mapping[str, Any], watch: Listener) -> Iterator[dict[str, str]]:
    """The file of each split that is given; rows are written into the run folder.

    Where the block ends before there is a run, what was written is taken away, and a DataError or ConfigError from it
    names rows by their number and not by the lines of a file that is gone.
    """
    run = RunFolder(folder)
    written: dict[str, Path] = {}
    try:
        yield {name: _file_of(run, name, data, written, watch) for name, data in given.items() if data is not None}
    except BaseException as error:
        if run.mark.exists():
            raise
        _forget(run, written)
        if written and isinstance(error, DataError | ConfigError):
            raise _renamed(error, written) from None
        raise


def _file_of(run: RunFolder, name: str, data: Any, written: dict[str, Path], watch: Listener) -> str:
    if is_path(data):
        return str(path_of(data, _called(name)))
    path = run.data.resolve() / f"{name}.jsonl"
    rows = rows_of(data, _called(name))
    run.data.mkdir(parents=True, exist_ok=True)
    written[name] = path
    write_rows(path, rows, _called(name), watch)
    return str(path)


def _called(name: str) -> str:
    """The argument of a split."""
    return "data" if name == "train" else name


def _forget(run: RunFolder, written: Mapping[str, Path]) -> None:
    for path in written.values():
        path.unlink(missing_ok=True)
    for path in (run.data, run.path):
        with suppress(OSError):  # not empty, or never made
            path.rmdir()


def _renamed(error: DataError | ConfigError, written: Mapping[str, Path]) -> DataError | ConfigError:
    text = str(error)
    for name, path in written.items():
        by_line = re.compile(re.escape(str(path)) + r":(\d+)")
        while found := by_line.search(text):
            text = f"{text[: found.start()]}{_called(name)}[{int(found[1]) - 1}]{text[found.end() :]}"
        text = text.replace(str(path), _called(name))
    return DataError(text) if isinstance(error, DataError) else ConfigError(text.split("\n"))
