"""Search: pictures of a folder by a text, or by a picture; and what a search of texts has in common with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, path_of
from recurra.api.inference import device_of
from recurra.base.atomic import write_text
from recurra.base.contracts import Origin, Record, Report
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.film_names import SUFFIXES
from recurra.data.pictures import PictureSize, picture_of, pixels_of, png_of
from recurra.data.vector_index import MANY, ApproximateSearch, VectorIndex, read_index, unchanged
from recurra.report import HeatMap, html
from recurra.tasks import FindsPictures

Vectors = NDArray[np.float32]
Note = Callable[[str], None]
# Pictures, or texts, that are encoded at once, and files of a folder.
TOGETHER, MOST_FILES = 64, 2_000_000
# Pixels of a side of a picture on a page.
DRAWN = 160


@dataclass(frozen=True, slots=True)
class Found:
    """One of the most alike. name: a picture, by its path; or a text      likeness: the cosine, -1 to 1"""

    name: str
    likeness: float


@dataclass(frozen=True, slots=True, eq=False)
class PictureSearch:
    """A run and the pictures of a folder, ready to be asked again and again."""

    run: OpenRun
    task: FindsPictures
    device: torch.device
    folder: Path
    index: VectorIndex
    approximate: ApproximateSearch | None

    def by_text(self, text: str, number: int = 10) -> tuple[Found, ...]:
        """The pictures that are most like a text."""
        return self._found(self.task.text_vectors(self.run.model, [text], self.device)[0], number)

    def by_picture(self, picture: AnyPath | bytes, number: int = 10) -> tuple[Found, ...]:
        """The pictures that are most like a picture, a file or its bytes. Raises DataError for what is none."""
        return self._found(picture_vector(self.run, self.task, picture, self.device), number)

    def _found(self, query: Vectors, number: int) -> tuple[Found, ...]:
        if number < 1:
            raise ConfigError(f"number: expected at least 1, got {number}.")
        searched: Any = self.index if self.approximate is None else self.approximate
        near = searched.nearest(query, min(number, len(self.index.vectors)))
        return tuple(Found(str(self.folder / self.index.entries[k][0]), alike) for k, alike in near)


@in_float32
def picture_search(
    run: AnyPath | OpenRun,
    images: AnyPath,
    *,
    index: AnyPath | None = None,
    approximate: bool = False,
    device: str = "auto",
    note: Note = lambda message: None,
) -> PictureSearch:
    """Vectors of all pictures in a folder and the folders in it, by a run that compares pictures with texts.

    index: where they are kept; None: in the run's folder. A picture that is as it was is not encoded again, and an
    index of another run, or of other weights, is made anew
    approximate: by a graph of neighbours (hnswlib), which is worth it from 100,000 pictures on
    Raises ConfigError for a run that compares no pictures, DataError for a folder without any, RunError.
    """
    known, task = finder_of(run)
    folder = path_of(images, "images")
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; expected one of pictures ({', '.join(SUFFIXES)}).")
    where = index_place(known, folder) if index is None else path_of(index, "index")
    chosen = device_of(device)
    found = _indexed(known, task, folder, where, chosen, note)
    if approximate and len(found.vectors) < MANY:
        raise ConfigError(
            f"approximate: {len(found.vectors):,} pictures are searched exactly in less time than a graph takes to "
            f"build; leave it out below {MANY:,}."
        )
    return PictureSearch(known, task, chosen, folder, found, ApproximateSearch(found.vectors) if approximate else None)


def write_search_page(path: AnyPath, asked: str, found: Sequence[Found]) -> None:
    """A page with the pictures that were found, which opens from disk. Raises RunError where it cannot be written."""
    size = PictureSize(DRAWN, DRAWN, "pad", "rgb", "white")
    maps = []
    for one in found:
        pixels = pixels_of(picture_of(Path(one.name), Origin(one.name), "picture"), size)
        maps.append(HeatMap(f"{one.likeness:.3f}  {one.name}", (), (), (), image=png_of(pixels)))
    page = html(Report(f"Pictures like: {asked}", ()), maps=maps, about="Found, the most alike first")
    try:
        write_text(path_of(path, "page"), page)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}.") from None


def finder_of(run: AnyPath | OpenRun) -> tuple[OpenRun, FindsPictures]:
    """A run that compares pictures with texts. Raises ConfigError for another one."""
    known = opened(run)
    if not isinstance(known.task, FindsPictures):
        raise ConfigError(
            f"{known.folder.path}: is a run of {known.settings.tree['task']['name']}, which does not compare pictures "
            "with texts. Train one that does: recurra init retrieval FILE."
        )
    return known, known.task


def picture_vector(run: OpenRun, task: FindsPictures, picture: AnyPath | bytes, device: torch.device) -> Vectors:
    """(D,) of a picture's file, or of its bytes."""
    if isinstance(picture, bytes):
        record = Record({task.picture_field: picture}, Origin("picture"))
    else:
        record = Record({task.picture_field: path_of(picture, "picture")}, Origin(str(picture)))
    found: Vectors = task.picture_vectors(run.model, [record], device)[0]
    return found


def _indexed(
    run: OpenRun, task: FindsPictures, folder: Path, where: Path, device: torch.device, note: Note
) -> VectorIndex:
    """The index on the disk, with what is new in it, and without what is gone."""
    owner, entries = fingerprint(run), picture_entries(folder)
    old = known_index(run, where, owner, "pictures", note)
    if old is not None and old.entries == entries:
        return old
    known = {} if old is None else unchanged(old, entries)
    fresh = [entry for entry in entries if entry[0] not in known]
    made, kept = _encoded(run, task, folder, fresh, device, note)
    rows = {name: old.vectors[place] for name, place in known.items()} if old is not None else {}
    rows |= {entry[0]: vector for entry, vector in zip(kept, made, strict=True)}
    if not rows:
        raise DataError(f"{folder}: holds no picture that can be read.")
    here = tuple(entry for entry in entries if entry[0] in rows)
    found = VectorIndex(np.stack([rows[name] for name, _, _ in here]), here, owner)
    found.write(where)
    note(f"{where}: {len(here):,} pictures, {len(kept):,} of them encoded now.")
    return found


def known_index(run: OpenRun, where: Path, owner: str, what: str, note: Note) -> VectorIndex | None:
    """The index on the disk; None where there is none, or one of other weights, which is said.

    owner: the fingerprint of the run      what: is searched, in words
    Raises RunError for a file that is none, or has vectors of another size.
    """
    old = read_index(where) if where.is_file() else None
    if old is not None and old.owner != owner:
        note(f"{where}: was made by another run, or other weights; all {what} are encoded anew.")
        return None
    if old is not None and old.vectors.shape[1] != (size := int(run.settings.tree["model"]["embedding_size"])):
        raise RunError(
            f"{where}: has vectors of {old.vectors.shape[1]:,} numbers, the run's have {size:,}. Remove it, to build "
            "it anew."
        )
    return old


def _encoded(
    run: OpenRun,
    task: FindsPictures,
    folder: Path,
    entries: Sequence[tuple[str, int, int]],
    device: torch.device,
    note: Note,
) -> tuple[list[Vectors], list[tuple[str, int, int]]]:
    """Vectors of pictures, some at a time; those that cannot be read are left out, and said."""
    made: list[Vectors] = []
    kept: list[tuple[str, int, int]] = []
    refused: list[str] = []
    for first in range(0, len(entries), TOGETHER):
        good: list[tuple[tuple[str, int, int], Record]] = []
        for entry in entries[first : first + TOGETHER]:
            record = Record({task.picture_field: folder / entry[0]}, Origin(str(folder / entry[0])))
            try:
                task.check_picture(record)
            except DataError as error:
                refused.append(str(error))
            else:
                good.append((entry, record))
        if good:
            made += list(task.picture_vectors(run.model, [record for _, record in good], device))
            kept += [entry for entry, _ in good]
    if refused:
        note(f"{folder}: {len(refused):,} of {len(entries):,} pictures were left out; the first: {refused[0]}")
    return made, kept


def picture_entries(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Pictures in a folder and those in it, by name: relative path, bytes, time of the last change.

    Raises DataError for a folder without any, or with too many.
    """
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(place, name)
                try:
                    told = path.stat()
                except OSError:  # a link to what is gone, or removed since: no picture that can be read
                    continue
                found.append((path.relative_to(folder).as_posix(), told.st_size, told.st_mtime_ns))
    if not found:
        raise DataError(f"{folder}: holds no picture ({', '.join(SUFFIXES)}).")
    if len(found) > MOST_FILES:
        raise DataError(f"{folder}: holds {len(found):,} pictures, more than {MOST_FILES:,}, the limit.")
    return tuple(sorted(found))


def index_place(run: OpenRun, searched: Path) -> Path:
    """Where vectors of a folder of pictures, or a file of texts, are kept: in the run's folder, a file for each."""
    name = hashlib.sha256(str(searched.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return run.folder.path / "search" / f"{name}.safetensors"


def fingerprint(run: OpenRun) -> str:
    """Of what makes vectors: the weights, and how pictures and texts are read."""
    sha = hashlib.sha256()
    for path in (run.folder.weights, run.folder.task, run.folder.config):
        try:
            sha.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}.") from None
    return sha.hexdigest()
