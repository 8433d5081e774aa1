"""Parallel files, as translators have them: line n of `train.de` says the same as line n of `train.en`.

A path with braces names them: `train.{de,en}` is two files, and a record of them has the fields `de` and `en`. As in
plain text a blank line is a record too, so that lines keep count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import BadRowError, Line, Lines, open_lines

_BRACES = re.compile(r"\{([^{}]*)\}")


def is_pattern(path: str | Path) -> bool:
    """Whether a path names parallel files: it has braces, and no file is called like that."""
    return bool(_BRACES.search(str(path))) and not Path(path).exists()


def parallel_paths(path: str | Path) -> dict[str, Path]:
    """The file of each field. Raises ConfigError unless there is one pair of braces with different names in it."""
    found = _BRACES.findall(str(path))
    names = [name.strip() for name in found[0].split(",")] if len(found) == 1 else []
    if not names or "" in names or len(set(names)) < len(names):
        raise ConfigError(f"{path}: expected different names in one pair of braces, such as train.{{de,en}}.")
    return {name: Path(_BRACES.sub(lambda _, name=name: name, str(path))) for name in names}  # type: ignore[misc]


class ParallelLines:
    """Lines of several files, one of each at a time. path: as the user gave it. number: lines read so far."""

    def __init__(self, path: str, files: Mapping[str, Lines]) -> None:
        self.path = path
        self.names = tuple(files)
        self.number = 0
        self._files = tuple(files.values())

    def __iter__(self) -> Iterator[list[Line]]:
        return self

    def __next__(self) -> list[Line]:
        """The next line of every file.

        Raises BadRowError for a line that cannot be read, after which the next call gives the lines behind it;
        DataError when one file ends before another.
        """
        self.number += 1
        taken = [_taken(lines) for lines in self._files]
        ended = [one is None for one in taken]
        if all(ended):
            self.number -= 1
            raise StopIteration
        if any(ended):
            raise DataError(self._lengths(ended))
        if bad := next((one for one in taken if isinstance(one, BadRowError)), None):
            raise bad
        return [one for one in taken if isinstance(one, Line)]

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for a line, by default the last one read."""
        at = line or Line(self.number, "", "")
        return BadRowError(f"{self.path}:{at.number}: {message}", at)

    def _lengths(self, ended: Sequence[bool]) -> str:
        short = next(lines.path for lines, end in zip(self._files, ended, strict=True) if end)
        counts = ", ".join(f"{lines.path} has {_counted(lines):,} lines" for lines in self._files)
        return (
            f"{short}:{self.number}: is missing: {counts}; expected as many in each, line n of one saying the same as "
            "line n of the others."
        )


class ParallelRows:
    """Rows of parallel files: a field for each file."""

    def __init__(self, lines: ParallelLines) -> None:
        self._lines = lines
        self.columns = lines.names

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next line of every file, without line breaks; the place is that of the first file."""
        found = next(self._lines)
        return found[0], {name: line.text for name, line in zip(self.columns, found, strict=True)}


@contextmanager
def open_parallel(path: Path, options: ReadOptions) -> Iterator[ParallelLines]:
    """Open all files of a pattern. Raises ConfigError for what is none, DataError for a file as `open_lines` does."""
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(open_lines(one, encoding=options.encoding))
            for name, one in parallel_paths(path).items()
        }
        yield ParallelLines(str(path), files)


def _taken(lines: Lines) -> Line | BadRowError | None:
    try:
        return next(lines, None)
    except BadRowError as problem:
        return problem


def _counted(lines: Lines) -> int:
    """How many lines a file has, from where it is to its end."""
    while _taken(lines) is not None:
        pass
    return lines.number


PARALLEL = Format(
    doc="parallel files, named with braces (train.{de,en}): line n of each is one record with a field for each file",
    suffixes=(),
    open=lambda lines, options: ParallelRows(lines),
    options=("encoding",),
    opened=open_parallel,
)
