"""What folders of files by class share: a folder for each class, a file for each row, or files without a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.documents import Folder, folders_in, has, names_in, parts_of
from recurra.data.formats.format import Format, ReadOptions

LABEL = "label"


class ClassRows:
    """Rows of files, class by class, by their names; of a file, or of a folder without classes, rows without a label.

    read: a file to what its row holds under `column`; it raises BadRowError or DataError for one that is no such file
    """

    def __init__(self, source: Folder, column: str, suffixes: tuple[str, ...], read: Callable[[Path], Any]) -> None:
        self._source, self._column, self._suffixes, self._read = source, column, suffixes, read
        self._labelled = source.folder.is_dir() and has_classes(source.folder, suffixes)
        self.columns = (column, LABEL) if self._labelled else (column,)
        self._files = self._found()
        if self._labelled and (beside := [name for name in names_in(source.folder) if not self._is_folder(name)]):
            source.said.append(f"left out: {counted(len(beside), 'file')} beside the folders of classes.")

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next file."""
        label, file = next(self._files)
        self._source.number += 1
        return Origin(str(file)), {self._column: self._read(file)} | ({LABEL: label} if self._labelled else {})

    def _is_folder(self, name: str) -> bool:
        return (self._source.folder / name).is_dir()

    def _found(self) -> Iterator[tuple[str, Path]]:
        if not self._source.folder.is_dir():
            yield "", self._source.folder
            return
        for folder in folders_in(self._source.folder) if self._labelled else [self._source.folder]:
            for name in names_in(folder):
                if name.lower().endswith(self._suffixes):
                    yield folder.name, folder / name


def by_class(doc: str, what: str, column: str, suffixes: tuple[str, ...], read: Callable[[Path], Any]) -> Format:
    """A format of files of one kind. what: they are, in a message"""

    @contextmanager
    def opened(path: Path, options: ReadOptions) -> Iterator[Folder]:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        if path.is_dir() and not has_classes(path, suffixes) and not has(path, suffixes):
            raise DataError(f"{path}: no folder in it holds {what}; expected a folder for each class.")
        yield Folder(path, None)

    def takes(path: Path) -> str:
        if not path.is_dir():
            return ""
        if splits(path):
            return f"its folders train, dev and test hold {what} by class"
        if has_classes(path, suffixes):
            return f"its folders hold {what}, and each is a class"
        return f"it holds {what}" if has(path, suffixes) else ""

    def splits(path: Path) -> Mapping[str, Path]:
        parts = parts_of(path)
        return parts if all(has_classes(part, suffixes) for part in parts.values()) else {}

    return Format(
        doc=doc,
        suffixes=suffixes,
        open=lambda source, options: ClassRows(source, column, suffixes, read),
        opened=opened,
        takes=takes,
        by_line=False,
        splits=splits,
    )


def has_classes(path: Path, suffixes: str | tuple[str, ...]) -> bool:
    """Whether a folder of this folder holds such files."""
    return any(has(folder, suffixes) for folder in folders_in(path))
