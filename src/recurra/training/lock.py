"""One run writes into a folder at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from recurra.base.atomic import remove_leftovers
from recurra.base.errors import RunError

FILE = ".lock"
_held: set[int] = set()


class FolderLock:
    """Holds `folder` for one writer until the block or the process ends, however it ends.

    Entering makes the folder if need be, and removes the temporary files of a process that was killed.
    Raises RunError if another process, or another lock in this one, holds it. Readers need no lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = -1

    def __enter__(self) -> FolderLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._handle, 20).decode("ascii", "replace").strip()
            os.close(self._handle)
            raise RunError(
                f"{self._folder}: expected a folder that nobody writes to, but process {owner or '(unknown)'}"
                " is training there. Wait for it, stop it, or choose another folder with --out."
            ) from error
        _held.add(self._handle)
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())
        remove_leftovers(self._folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._handle in _held:
            _held.discard(self._handle)
            os.close(self._handle)


def _let_go() -> None:
    """In a forked child (a worker that loads data): it may outlive a killed parent, and must not keep the lock."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
