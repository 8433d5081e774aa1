"""One run writes into a folder at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from recurra.base.atomic import UNSUPPORTED, remove_leftovers, sync_folder
from recurra.base.errors import RunError

FILE = ".lock"
# ENOLCK: a network drive whose lock service does not run.
NO_LOCKS = (*UNSUPPORTED, errno.ENOLCK)
_held: set[int] = set()


class TakenError(RunError):
    """Another process, or another lock in this one, writes to the folder."""


class FolderLock:
    """Holds `folder` for one writer until the block or the process ends, however it ends.

    Entering makes the folder if need be, and removes the temporary files of a process that was killed.
    doing: what writers do there
    note: hears what this disk cannot do: lock a file (a second writer is then not noticed), or sync a folder
    Raises TakenError if another process, or another lock in this one, holds it. Readers need no lock.
    """

    def __init__(
        self, folder: Path, note: Callable[[str], None] = lambda message: None, doing: str = "training"
    ) -> None:
        self._folder = folder
        self._note, self._doing = note, doing
        self._handle = -1

    def __enter__(self) -> FolderLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                owner = os.read(self._handle, 20).decode("ascii", "replace").strip()
                os.close(self._handle)
                raise TakenError(
                    f"{self._folder}: expected a folder that no other process writes to, but process "
                    f"{owner or '(unknown)'} is {self._doing} there. Wait for it, stop it, or choose another "
                    f"folder with {'--out' if self._doing == 'training' else '--output'}."
                ) from error
            self._note(
                f"{self._folder}: this disk has no file locks ({error.strerror}), so a second training in the same "
                "folder would not be noticed; let only one write there."
            )
        _held.add(self._handle)
        if not sync_folder(self._folder):
            self._note(
                f"{self._folder}: this disk does not sync folders: after a power cut the newest files may be missing."
            )
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
