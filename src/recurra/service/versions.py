"""Which state of a run folder's files is served: a name for it, and whether it is still the one on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from recurra.api.places import RunFolder

# Device, number, size, and times of content and of status; None where there is no file.
Stamp = tuple[tuple[int, int, int, int, int] | None, ...]
DIGITS = 12


def files_of(folder: RunFolder) -> tuple[Path, ...]:
    """The files that make a run what it answers."""
    return folder.mark, folder.config, folder.task, folder.cell, folder.weights


def stamp_of(folder: RunFolder) -> Stamp:
    """What changes whenever one of the files is written or replaced; nothing is read."""
    return tuple(map(_stamp, files_of(folder)))


def version_of(folder: RunFolder) -> str:
    """The first DIGITS digits of a SHA-256 over the files: equal for equal runs, wherever they lie."""
    return _digest(path for path in files_of(folder) if path.is_file())


def _digest(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:DIGITS]


def _stamp(path: Path) -> tuple[int, int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
