"""Sound files: a folder for each class, a file for each row; or files without a class, for `predict`."""

from __future__ import annotations

from pathlib import Path

from recurra.data.formats.by_class import by_class

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64", ".caf")


def _itself(file: Path) -> Path:
    """Read later, when a batch is made."""
    return file


SOUNDS = by_class("a folder of sounds by class: yes/*.wav, no/*.wav", "sounds", "sound", SUFFIXES, _itself)
