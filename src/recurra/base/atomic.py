"""A file is there whole, or not at all: write to a temporary name beside it, fsync, rename, fsync the folder.

Source of the order: Pillai et al. 2014, "All File Systems Are Not Created Equal" (OSDI), section 4.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# Leftovers of a killed process start with this; `remove_leftovers` takes them away at the next start.
PREFIX = ".tmp-"


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that becomes `path` when the block ends well, and vanishes when it raises.

    Raises OSError as the system gives it (ENOSPC for a full disk); `path` is then what it was before.
    """
    temporary = path.parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}-{path.name}"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path`, atomically."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> int:
    """Delete temporary files that a killed process left in `folder`; return how many."""
    leftovers = [path for path in folder.glob(PREFIX + "*") if path.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
