"""The checkpoints of a run folder: `last`, the one before it, and the best; a damaged one is passed over, aloud."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recurra.base.atomic import replacing
from recurra.base.errors import RunError
from recurra.training.checkpoint import Checkpoint, DamagedError, encode, load, save, saving, write


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

        The new file is on the disk before the old one is renamed, so at every moment a whole state has a name.
        """
        parts = encode(checkpoint, self.last)
        with saving(self.last, sum(map(len, parts))), replacing(self.last) as file:
            write(file, parts)
            file.flush()
            os.fsync(file.fileno())
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
        present = [path for path in (self.last, self.previous, self.best) if path.exists()]
        for path in present:
            try:
                checkpoint = load(path)
            except DamagedError as error:
                notes.append(str(error))
                continue
            self._last_is_sound = path == self.last
            return Found(checkpoint, path, (*notes, *self._fallback_note(checkpoint, path)))
        if not present:
            return None
        raise RunError(
            "\n".join([*notes, f"{self.last.parent}: no good checkpoint is left. Start anew in another folder."])
        )

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
        """Rename last to previous, unless it is damaged: a bad file must not push out a good one."""
        if self.last.exists() and (self._last_is_sound or _is_good(self.last)):
            os.replace(self.last, self.previous)


def _is_good(path: Path) -> bool:
    try:
        load(path)
    except RunError:
        return False
    return True
