"""Films by class: a folder for each class, and in it a folder of pictures, or a video, for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.film_names import VIDEOS, is_film
from recurra.data.formats.by_class import LABEL
from recurra.data.formats.documents import Folder, folders_in, names_in, parts_of
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.ts import VALUES


class FilmRows:
    """Rows of films, class by class, by their names; of one film, or of a folder of some, rows without a label."""

    def __init__(self, source: Folder) -> None:
        self._source, folder = source, source.folder
        self._labelled = _has_classes(folder)
        self.columns = (VALUES, LABEL) if self._labelled else (VALUES,)
        self._films = self._found(folder)

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The name of the next film, relative to the folder it lies in."""
        label, film = next(self._films)
        self._source.number += 1
        return Origin(str(film)), {VALUES: film.name} | ({LABEL: label} if self._labelled else {})

    def _found(self, folder: Path) -> Iterator[tuple[str, Path]]:
        if is_film(folder):
            yield "", folder
            return
        for one in folders_in(folder) if self._labelled else [folder]:
            yield from ((one.name, one / name) for name in names_in(one) if is_film(one / name))


def _has_classes(path: Path) -> bool:
    return path.is_dir() and any(_has_films(one) for one in folders_in(path))


def _has_films(path: Path) -> bool:
    return any(is_film(path / name) for name in names_in(path)[:20])


@contextmanager
def _opened(path: Path, options: ReadOptions) -> Iterator[Folder]:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if not is_film(path) and not (path.is_dir() and (_has_classes(path) or _has_films(path))):
        raise DataError(f"{path}: expected a folder for each class, and in it folders of pictures, or videos.")
    yield Folder(path, None)


def _takes(path: Path) -> str:
    if not path.is_dir():
        return ""
    if _splits(path):
        return "its folders train, dev and test hold films by class"
    return "its folders hold folders of pictures, or videos, and each is a class" if _has_classes(path) else ""


def _splits(path: Path) -> Mapping[str, Path]:
    parts = parts_of(path)
    return parts if parts and all(map(_has_classes, parts.values())) else {}


FILMS = Format(
    doc="films by class: wave/1/*.png, wave/2.mp4; a folder of pictures, or a video, for each row",
    suffixes=VIDEOS,
    open=lambda source, options: FilmRows(source),
    opened=_opened,
    takes=_takes,
    by_line=False,
    splits=_splits,
)
