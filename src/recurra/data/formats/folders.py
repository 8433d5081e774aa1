"""Texts by class: a folder for each class, a file for each text, `pos/*.txt` and `neg/*.txt`.

A folder may hold such folders for train, dev and test. Files that lie beside the folders of classes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.documents import TEXT, Folder, folders_in, has, names_in, parts_of, text_of
from recurra.data.formats.format import Format, ReadOptions


class FolderRows:
    """Rows of texts, class by class, by the names of their files."""

    columns = ("text", "label")

    def __init__(self, source: Folder) -> None:
        self._source = source
        self._files = self._found()
        beside = [name for name in names_in(source.folder) if not (source.folder / name).is_dir()]
        if beside:
            files = counted(len(beside), "file", "files")
            source.said.append(f"left out: {files} beside the folders of classes.")

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next text, without line breaks at its end. Raises BadRowError for a file that is no text."""
        label, file = next(self._files)
        self._source.number += 1
        return Origin(str(file)), {"text": text_of(file, self._source.encoding).rstrip("\r\n"), "label": label}

    def _found(self) -> Iterator[tuple[str, Path]]:
        for folder in folders_in(self._source.folder):
            for name in names_in(folder):
                if name.lower().endswith(TEXT):
                    yield folder.name, folder / name


@contextmanager
def open_folder(path: Path, options: ReadOptions) -> Iterator[Folder]:
    """Open a folder of classes. Raises DataError for what is none."""
    if not path.is_dir():
        raise DataError(f"{path}: is no folder; expected one of folders of texts, pos/*.txt and neg/*.txt.")
    if not _holds_classes(path):
        parts = ", ".join(map(str, splits_of(path).values()))
        raise DataError(
            f"{path}: holds several splits: name one in the config, e.g. data.train: one of {parts}."
            if parts
            else f"{path}: no folder in it holds texts; expected a folder for each class, pos/*.txt and neg/*.txt."
        )
    yield Folder(path, options.encoding)


def splits_of(path: Path) -> Mapping[str, Path]:
    """The folders of splits in a folder, where those hold folders of classes."""
    parts = parts_of(path)
    return parts if all(map(_holds_texts, parts.values())) else {}


def _holds_classes(path: Path) -> bool:
    # The folders train and test of a data set may hold lists of files beside their classes.
    return _holds_texts(path) and not splits_of(path)


def _holds_texts(path: Path) -> bool:
    return any(has(folder, TEXT) for folder in folders_in(path))


def _takes(path: Path) -> str:
    if not path.is_dir():
        return ""
    if _holds_classes(path):
        return "its folders hold texts, and each is a class"
    return "its folders train, dev and test hold texts by class" if splits_of(path) else ""


FOLDERS = Format(
    doc="a folder of texts by class: pos/*.txt, neg/*.txt",
    suffixes=(),
    open=lambda source, options: FolderRows(source),
    options=("encoding",),
    opened=open_folder,
    takes=_takes,
    by_line=False,
    splits=splits_of,
)
