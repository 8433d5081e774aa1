"""The checkpoints of a run folder: `last`, the one before it, and the best; a damaged one is passed over, aloud."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recurra.base.atomic import replacing, sync
from recurra.base.errors import RunError
from recurra.training.checkpoint import (
    Checkpoint,
    DamagedError,
    MissingError,
    encode,
    load,
    save,
    saving,
    size_of,
    write,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint, the file it came from, and what has to be said about the files that were passed over."""

    checkpoint: Checkpoint
    path: Path
    notes: tuple[str, ...]


class Checkpoints:
    """last.ckpt, last.prev.ckpt and best.ckpt of one run folder. One writer (see FolderLock), any number of readers."""

    def __init__(self, folder: Path) -> None:
        self.last, self.previous, self.best = (folder / name for name in ("last.ckpt", "last.prev.ckpt", "best.ckpt"))
        self._last_is_sound = False

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` the last one and the last one the previous. Raises TrainingError as `checkpoint.save` does.

        The new file is on the disk before the old one gets its second name, and then takes its first: `last` is always
        there, and always whole.
        """
        parts = encode(checkpoint, self.last)
        with saving(self.last, size_of(parts)), replacing(self.last) as file:
            write(file, parts)
            file.flush()
            sync(file.fileno())
            self._keep_previous()
        self._last_is_sound = True

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` the best one. Raises TrainingError as `checkpoint.save` does."""
        save(self.best, checkpoint)

    def newest(self) -> Found | None:
        """The newest good checkpoint, or None where none was ever written.

        Raises RunError if there are some and none is good: nobody starts anew unasked. A newer format is no damage: it
        raises RunError too.
        """
        notes: list[str] = []
        for path in (self.last, self.previous, self.best):
            try:
                checkpoint = load(path)
            except MissingError:
                continue
            except DamagedError as error:
                notes.append(str(error))
                continue
            self._last_is_sound = path == self.last
            return Found(checkpoint, path, (*notes, *self._fallback_note(checkpoint, path)))
        if not notes:
            return None
        raise RunError(
            "\n".join([*notes, f"{self.last.parent}: no good checkpoint is left. Train again in another folder."])
        )

    def thin(self, keep: str) -> None:
        """Remove what a run that has ended does not need. keep: all, last (what a resume needs) or none of them.

        The best one's weights must be safe elsewhere by then.
        """
        kept = {"all": (self.last, self.previous, self.best), "last": (self.last,), "none": ()}[keep]
        for path in (self.previous, self.best, self.last):
            if path not in kept:
                path.unlink(missing_ok=True)

    def load_best(self) -> Checkpoint:
        """The best checkpoint. Raises RunError if it is missing or damaged."""
        return load(self.best)

    def _fallback_note(self, checkpoint: Checkpoint, path: Path) -> tuple[str, ...]:
        if path == self.last:
            return ()
        return (
            f"{path}: used instead of {self.last.name}; it is from step {checkpoint.step}, epoch {checkpoint.epoch}.",
        )

    def _keep_previous(self) -> None:
        """Give the last one the name of the previous too, unless it is damaged: it must not push out a good one."""
        if not self.last.exists() or not (self._last_is_sound or _is_good(self.last)):
            return
        with suppress(FileNotFoundError):
            os.unlink(self.previous)
        try:
            os.link(self.last, self.previous)
        except OSError:
            # No hard links here (FAT, some network drives): for a moment the old state has only the name `previous`.
            os.replace(self.last, self.previous)


def _is_good(path: Path) -> bool:
    try:
        load(path)
    except RunError:
        return False
    return True
