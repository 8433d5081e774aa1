"""A file is there whole, or not at all: write to a temporary name beside it, fsync, rename, fsync the folder.

Source of the order: Pillai et al. 2014, "All File Systems Are Not Created Equal" (OSDI), section 4.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# Then the number of the writing process. Leftovers of a killed one go at the next start, by `remove_leftovers`.
PREFIX = ".tmp-"
# What this process is writing now. Its number alone tells nothing: in a container, the killed one had it too.
_writing: set[str] = set()
# What a file system says of a call that it does not have.
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that becomes `path` when the block ends well, and vanishes when it raises.

    Raises OSError as the system gives it (ENOSPC for a full disk), with a filename; `path` is then what it was before.
    """
    temporary = path.parent / f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}-{path.name}"
    _writing.add(temporary.name)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            sync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _writing.discard(temporary.name)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path`, atomically."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def sync_folder(folder: Path) -> bool:
    """Make a rename in `folder` survive a power cut; whether its disk can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write in a folder that one may not read
        return False
    try:
        return sync(handle)
    finally:
        os.close(handle)


def sync(handle: int) -> bool:
    """Wait until an open file, or folder, is on the disk; whether its file system can say so.

    Some network drives and FUSE file systems cannot, and a write to them is no failure. Raises OSError for one that is.
    """
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True


def remove_leftovers(folder: Path) -> int:
    """Delete temporary files that killed processes left in `folder`; return how many. A living one's are spared."""
    leftovers = [path for path in folder.glob(PREFIX + "*") if path.is_file() and not _is_being_written(path.name)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _is_being_written(name: str) -> bool:
    number = name.removeprefix(PREFIX).partition("-")[0]
    if not number.isdecimal() or int(number) == os.getpid():
        return name in _writing
    try:
        os.kill(int(number), 0)  # asks whether there is such a process; sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
