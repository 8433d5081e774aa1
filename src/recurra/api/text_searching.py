"""Search the other way: texts of a file by a picture, and their index on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun
from recurra.api.given import AnyPath, path_of
from recurra.api.inference import device_of
from recurra.api.searching import (
    TOGETHER,
    Found,
    Note,
    finder_of,
    fingerprint,
    index_place,
    known_index,
    picture_vector,
)
from recurra.base.digest import digest_of
from recurra.base.errors import ConfigError, DataError
from recurra.data.vector_index import VectorIndex, unchanged
from recurra.tasks import FindsPictures

Vectors = NDArray[np.float32]
# Bytes of a file of texts, texts in it, and characters of each.
MOST_BYTES, MOST_TEXTS, LONGEST_TEXT = 64 * 2**20, 1_000_000, 10_000


@dataclass(frozen=True, slots=True, eq=False)
class TextSearch:
    """A run and the texts of a file, ready to be asked again and again. texts: each once, in the order of the file"""

    run: OpenRun
    task: FindsPictures
    device: torch.device
    texts: tuple[str, ...]
    index: VectorIndex

    def by_picture(self, picture: AnyPath | bytes, number: int = 10) -> tuple[Found, ...]:
        """The texts that are most like a picture, a file or its bytes. Raises DataError for what is none."""
        if number < 1:
            raise ConfigError(f"number: expected at least 1, got {number}.")
        query = picture_vector(self.run, self.task, picture, self.device)
        near = self.index.nearest(query, min(number, len(self.texts)))
        return tuple(Found(self.texts[k], alike) for k, alike in near)


@in_float32
def text_search(
    run: AnyPath | OpenRun,
    texts: AnyPath,
    *,
    index: AnyPath | None = None,
    device: str = "auto",
    note: Note = lambda message: None,
) -> TextSearch:
    """Vectors of the lines of a text file, by a run that compares pictures with texts.

    index: where they are kept; None: in the run's folder. A line that is known is not encoded again, and an index of
    another run, or of other weights, is made anew
    Raises ConfigError for a run that compares no pictures, DataError for a file that holds no text, RunError.
    """
    known, task = finder_of(run)
    path = path_of(texts, "texts")
    lines, chosen = lines_of(path), device_of(device)
    where = index_place(known, path) if index is None else path_of(index, "index")
    return TextSearch(known, task, chosen, lines, _indexed(known, task, lines, where, chosen, note))


@in_float32
def search_texts(
    run: AnyPath | OpenRun, picture: AnyPath, texts: AnyPath, *, number: int = 10, device: str = "auto"
) -> tuple[Found, ...]:
    """The lines of a text file that are most like a picture; no index is written.

    Raises ConfigError for a run that compares no pictures, DataError for what is no picture or no text.
    """
    known, task = finder_of(run)
    lines, chosen = lines_of(path_of(texts, "texts")), device_of(device)
    index = VectorIndex(_encoded(known, task, lines, chosen), _entries(lines), "")
    return TextSearch(known, task, chosen, lines, index).by_picture(picture, number)


def lines_of(path: Path) -> tuple[str, ...]:
    """The lines of a text file that are not blank, each once. Raises DataError for none, or what is no text."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: has more than {MOST_BYTES:,} bytes, the limit. Split it.")
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text at byte {error.start + 1:,}. Save it as UTF-8.") from None
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_TEXT:
            raise DataError(f"{path}:{number}: has {len(line):,} characters, expected at most {LONGEST_TEXT:,}.")
    if not (found := tuple(dict.fromkeys(line for line in lines if line))):
        raise DataError(f"{path}: has no line of text.")
    if len(found) > MOST_TEXTS:
        raise DataError(f"{path}: has {len(found):,} texts, more than {MOST_TEXTS:,}, the limit. Split it.")
    return found


def _indexed(
    run: OpenRun, task: FindsPictures, lines: Sequence[str], where: Path, device: torch.device, note: Note
) -> VectorIndex:
    """The index on the disk, with what is new in the file, and without what is gone."""
    owner, entries = fingerprint(run), _entries(lines)
    old = known_index(run, where, owner, "texts", note)
    if old is not None and old.entries == entries:
        return old
    known = {} if old is None else unchanged(old, entries)
    fresh = [line for line, entry in zip(lines, entries, strict=True) if entry[0] not in known]
    made = iter(_encoded(run, task, fresh, device))
    rows = [next(made) if old is None or name not in known else old.vectors[known[name]] for name, _, _ in entries]
    found = VectorIndex(np.stack(rows), entries, owner)
    found.write(where)
    note(f"{where}: {len(lines):,} texts, {len(fresh):,} of them encoded now.")
    return found


def _entries(lines: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """A text by its digest: an index is small, and holds no text."""
    return tuple((digest_of(line).hex()[:32], len(line), 0) for line in lines)


def _encoded(run: OpenRun, task: FindsPictures, lines: Sequence[str], device: torch.device) -> Vectors:
    """(len(lines), D) vectors of texts, some at a time."""
    parts = [lines[k : k + TOGETHER] for k in range(0, len(lines), TOGETHER)]
    found = [task.text_vectors(run.model, list(part), device) for part in parts]
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)
