"""A file of texts beside a run: the lines that are most like a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from recurra.api.folder import OpenRun
from recurra.api.searching import Note
from recurra.api.text_searching import TextSearch, text_search


class FoundText(NamedTuple):
    """A line of the file, and the cosine of its vector with the picture's."""

    text: str
    likeness: float


class SearchedTexts:
    """The texts of a file, ready to be searched, for one version of a run."""

    def __init__(self, file: Path, seen: tuple[int, int] | None, search: TextSearch) -> None:
        """seen: bytes and time of the file when it was read"""
        self.file, self.search, self._seen = file, search, seen

    def __len__(self) -> int:
        return len(self.search.texts)

    @property
    def is_current(self) -> bool:
        """Whether the file is what it was; one that is gone is not."""
        return _told(self.file) == self._seen

    def find(self, picture: bytes, number: int) -> list[FoundText]:
        """The texts most like a picture's bytes; in the worker's thread. Raises DataError for what is no picture."""
        return [FoundText(one.name, one.likeness) for one in self.search.by_picture(picture, number)]


def texts_of(run: OpenRun, texts: Path, index: Path | None, device: str, note: Note) -> SearchedTexts:
    """The lines of a text file. index: where their vectors are kept; None: in the run's folder

    Raises ConfigError for a run that compares no pictures, DataError for a file without a text, RunError for an index
    that is damaged or cannot be written.
    """
    seen = _told(texts)  # before it is read: a change while it is read is seen by the next look
    return SearchedTexts(texts, seen, text_search(run, texts, index=index, device=device, note=note))


def _told(file: Path) -> tuple[int, int] | None:
    try:
        told = os.stat(file)
    except OSError:
        return None
    return told.st_size, told.st_mtime_ns
