"""What folders of texts share: a text a file, in the order of their names, each a row whose place is its file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from recurra.base.errors import DataError
from recurra.data.formats.lines import MAX_LINE_BYTES, BadRowError, Line, open_lines
from recurra.data.formats.splits import NAMES, split_of

TEXT = ".txt"
# Entries of a folder that are looked at to see what it is.
LOOK = 1000


class Folder:
    """An open folder. path: as the user gave it. number: files read so far. said: see `Rows`."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self.path, self.folder, self.encoding = str(path), path, encoding
        self.number = 0
        self.said: list[str] = []

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for the folder, or a line in it."""
        return BadRowError(f"{self.path}: {message}", line or Line(0, "", ""))


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, by name; hidden files are left out. Raises DataError for one that cannot be read."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}.") from None


def text_of(path: Path, encoding: str | None) -> str:
    """All of a text, its line ends as they are. Raises BadRowError for one that is too long or no text."""
    with open_lines(path, MAX_LINE_BYTES, encoding=encoding) as lines:
        parts, size = [], 0
        for line in lines:
            parts += [line.text, line.ending]
            size += len(line.text) + 1
            if size > MAX_LINE_BYTES:
                raise lines.bad(f"the text is longer than {MAX_LINE_BYTES:,} characters, the limit.", line)
    return "".join(parts)


def has(folder: Path, suffix: str | tuple[str, ...]) -> bool:
    """Whether one of the first files of a folder has this suffix, or one of these."""
    try:
        with os.scandir(folder) as entries:
            return any(
                entry.name.lower().endswith(suffix) and not entry.name.startswith(".")
                for entry, _ in zip(entries, range(LOOK), strict=False)
            )
    except OSError:
        return False


def folders_in(path: Path) -> Iterator[Path]:
    """The folders in a folder, by name."""
    return (path / name for name in names_in(path) if (path / name).is_dir())


def parts_of(path: Path) -> Mapping[str, Path]:
    """The folders in a folder that have the name of a split, by it; {} unless one is for training."""
    found = {split_of(folder.name): folder for folder in folders_in(path) if folder.name.lower() in NAMES}
    return found if "train" in found else {}
