"""A folder of pictures beside a run: its index, and small pictures of what was found.

Names come from the index alone, never from a request, and a file that leads out of the folder is not opened.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.api.folder import OpenRun
from recurra.api.given import AnyPath
from recurra.api.searching import PictureSearch, picture_entries, picture_search
from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.pictures import PictureSize, picture_of, pixels_of, png_of

# Pixels of a side of a small picture, and how many of them are kept: 75 MB of pixels that do not shrink.
SIDE, KEPT = 160, 1000
_SIZE = PictureSize(SIDE, SIDE, "pad", "rgb", "white")
Note = Callable[[str], None]


class FoundName(NamedTuple):
    """A picture by its name in the folder, and the cosine of its vector with what was asked for."""

    name: str
    likeness: float


class Gallery:
    """The pictures of a folder, ready to be searched, for one version of a run."""

    def __init__(self, folder: Path, index: Path | None, seen: object, search: PictureSearch) -> None:
        """index: where vectors are kept; None: in the run's folder      seen: what the folder held"""
        self.folder, self.index, self.search = folder, index, search
        self._seen, self._root = seen, folder.resolve()
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.search.index.vectors)

    @property
    def is_current(self) -> bool:
        """Whether the folder holds what it held; a folder that is gone does not."""
        try:
            return picture_entries(self.folder) == self._seen
        except DataError:
            return False

    def find(self, sought: str | bytes, number: int) -> list[FoundName]:
        """The pictures most like a text or the bytes of a picture; in the worker's thread. Raises DataError."""
        by = self.search.by_text if isinstance(sought, str) else self.search.by_picture
        found = by(sought, number)  # type: ignore[arg-type]
        return [FoundName(Path(one.name).relative_to(self.folder).as_posix(), one.likeness) for one in found]

    def strange_in(self, text: str) -> tuple[str, ...]:
        """Words that training never had."""
        return tuple(self.search.task.strange_in(text))

    def thumbnail(self, name: str) -> bytes | None:
        """A PNG of SIDE pixels a side of a name of the index; None where it is gone, damaged, or outside the folder."""
        try:
            path = (self.folder / name).resolve(strict=True)
            told = path.stat()
        except (OSError, RuntimeError):
            return None
        if not path.is_relative_to(self._root):
            return None
        key = name, told.st_size, told.st_mtime_ns
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        try:
            made = png_of(pixels_of(picture_of(path, Origin(name), "picture"), _SIZE))
        except DataError:
            return None
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made


def gallery_of(run: OpenRun, images: AnyPath, index: Path | None, device: str, note: Note) -> Gallery:
    """The pictures in a folder and the folders in it; those that a link has outside of it are left out, and said.

    Raises ConfigError for a run that compares no pictures, DataError for a folder without any that can be read,
    RunError for an index that is damaged or cannot be written.
    """
    folder = Path(images)
    seen = picture_entries(folder) if folder.is_dir() else None
    search = picture_search(run, folder, index=index, device=device, note=note)
    root = folder.resolve()
    inside = [k for k, name in enumerate(search.index.names) if _is_inside(folder / name, root)]
    if not inside:
        raise DataError(f"{folder}: every picture in it is a link to a file outside, which is not served.")
    if (out := len(search.index.vectors) - len(inside)) > 0:
        links = counted(out, "picture is a link to a file", "pictures are links to files")
        note(f"{folder}: {links} outside of it, and left out.")
        entries = tuple(search.index.entries[k] for k in inside)
        left = replace(search.index, vectors=np.ascontiguousarray(search.index.vectors[inside]), entries=entries)
        search = replace(search, index=left)
    return Gallery(folder, index, seen, search)


def _is_inside(path: Path, root: Path) -> bool:
    try:  # folders that are links are not walked, so that a name alone may lead outside
        return not path.is_symlink() or path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False
