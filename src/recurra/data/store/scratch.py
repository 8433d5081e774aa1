"""Files without a name: the system takes their space back when they are closed, or the process ends, however it ends.

So nothing is half written, nothing is left behind by Ctrl-C or a crash, and two runs never meet in one file.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import DataError

# Bytes that are collected before they are written.
BUFFER = 2**20
# Bytes of a file that may be resident at once (there are some ten files), and what one touched place makes resident:
# the system maps the 16 pages around it (fault_around_bytes of Linux).
RESIDENT, AROUND = 2**20, 2**16
# Where files go that are too large for memory, and for a /tmp that is in memory (FHS 3.0, 5.15).
ON_A_DISK = Path("/var/tmp")  # noqa: S108 - the files in it have no name
# Windows has none.
READS_AT = hasattr(os, "pread")
# What a file system says when nothing more fits: it is full, a quota is used up, or the file is as large as may be.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Scratch:
    """A folder for files without a name. written: bytes of all files so far

    Raises DataError for a folder in which nothing can be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = 0

    def file(self) -> ScratchFile:
        """A new file, empty."""
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                return ScratchFile(self, os.dup(file.fileno()))
        except OSError as error:
            raise self.refused(error) from None

    def require(self, needed: int) -> None:
        """Raise DataError, with both numbers, where fewer bytes are free."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise self.refused(error) from None
        if free < needed:
            raise DataError(
                f"{self.folder}: preparing this data takes about {needed:,} bytes of the disk, and {free:,} are free. "
                "Free some, or set data.scratch to a folder on another disk."
            )

    def refused(self, error: OSError) -> DataError:
        """What is said of a write that failed."""
        if error.errno in FULL:
            return DataError(
                f"{self.folder}: the disk is full: {self.written:,} bytes of prepared data are written, and no more "
                "fit. Free some, or set data.scratch to a folder on another disk."
            )
        return DataError(
            f"{self.folder}: prepared data cannot be written there: {error.strerror or error}. Set data.scratch to "
            "another folder."
        )


class ScratchFile:
    """A file that grows at its end, until it is read. size: bytes so far

    handle: of the open file, which is closed with this object
    """

    def __init__(self, scratch: Scratch, handle: int) -> None:
        self._scratch, self._handle = scratch, handle
        self._waiting = bytearray()
        self.size = 0
        weakref.finalize(self, os.close, handle)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Put bytes behind the others. Raises DataError where the disk is full."""
        self._waiting += data
        self.size += len(data)
        if len(self._waiting) >= BUFFER:
            self._flush()

    def pages(self) -> Pages:
        """What was written, to be read. Raises DataError where the disk is full."""
        self._flush()
        return Pages(self._handle, self.size)

    def _flush(self) -> None:
        with memoryview(self._waiting) as left:
            done = 0
            while done < len(left):
                try:
                    done += os.write(self._handle, left[done:])
                except OSError as error:
                    raise self._scratch.refused(error) from None
        self._scratch.written += len(self._waiting)
        self._waiting = bytearray()


class Pages:
    """A file through a memory map, of which a few MiB are resident: what was read is given back, and stays in the
    system's cache for as long as nobody else needs the memory.

    size: bytes
    """

    def __init__(self, handle: int, size: int) -> None:
        self.size = size
        self._map: Any = mmap.mmap(handle, size, access=mmap.ACCESS_READ) if size else b""  # holds the file open itself
        self._handle = os.dup(handle)
        weakref.finalize(self, os.close, self._handle)
        self._touched = 0

    def read(self, start: int, stop: int) -> bytes:
        """Bytes start..stop, as a copy."""
        if READS_AT and stop - start <= BUFFER:  # mapping pages and giving them back costs twice what a call does
            return os.pread(self._handle, stop - start, start)
        self.touch(1, stop - start)
        return bytes(self._map[start:stop])

    def numbers(self, dtype: Any, start: int, stop: int) -> NDArray[Any]:
        """Numbers start..stop of a file of such numbers, as a copy."""
        size = np.dtype(dtype).itemsize
        return np.frombuffer(self.read(start * size, stop * size), dtype)

    @property
    def view(self) -> memoryview:
        """All bytes. What is read of them stays resident until `release`."""
        return memoryview(self._map)

    def release(self) -> None:
        """Give the pages back that were read."""
        if self.size and hasattr(self._map, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
        self._touched = 0

    def touch(self, places: int, number: int = 0) -> None:
        """So many places were read, with so many bytes behind them: they may be given back."""
        self._touched += number + places * AROUND
        if self._touched > RESIDENT:
            self.release()


def scratch_folder(given: str | None) -> Path:
    """Where files without a name go: a given folder; else $TMPDIR, /var/tmp, which is on a disk where /tmp may be
    memory, or what the system has for it. Raises DataError for a folder that is none."""
    if given is not None:
        if not Path(given).is_dir():
            raise DataError(f"data.scratch: '{given}' is no folder; expected one that is there.")
        return Path(given)
    if not os.environ.get("TMPDIR") and os.access(ON_A_DISK, os.W_OK | os.X_OK):
        return ON_A_DISK
    return Path(tempfile.gettempdir())
