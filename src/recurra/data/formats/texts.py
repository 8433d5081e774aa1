"""A folder of plain texts, in the order of their names: each line of each file is a record with the field `text`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.documents import TEXT, Folder, folders_in, has, names_in
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import MAX_TEXT_LINE_BYTES, Line, open_lines


class TextsRows:
    """Lines of the texts of a folder, file by file."""

    columns = ("text",)

    def __init__(self, source: Folder) -> None:
        self._source = source
        self._lines = self._all()
        others = [name for name in names_in(source.folder) if not name.lower().endswith(TEXT)]
        if others:
            source.said.append(f"left out: {counted(len(others), 'entry', 'entries')} that are no {TEXT} files.")

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next line, without its line break."""
        path, line = next(self._lines)
        return Origin(str(path), line.number), {"text": line.text}

    def _all(self) -> Iterator[tuple[Path, Line]]:
        for name in names_in(self._source.folder):
            if not name.lower().endswith(TEXT):
                continue
            path = self._source.folder / name
            with open_lines(path, MAX_TEXT_LINE_BYTES, encoding=self._source.encoding) as lines:
                for line in lines:
                    self._source.number += 1
                    yield path, line


@contextmanager
def open_texts(path: Path, options: ReadOptions) -> Iterator[Folder]:
    """Open a folder. Raises DataError for what is none, or holds no text."""
    if not path.is_dir() or not has(path, TEXT):
        raise DataError(f"{path}: expected a folder of {TEXT} files.")
    yield Folder(path, options.encoding)


def _takes(path: Path) -> str:
    """Texts side by side, none of them with annotations, and no folders, which would be classes."""
    if not path.is_dir() or not has(path, TEXT) or has(path, ".ann") or any(folders_in(path)):
        return ""
    return f"it holds {TEXT} files"


TEXTS = Format(
    doc="a folder of plain texts: each line of each .txt file is one record with the field `text`",
    suffixes=(),
    open=lambda source, options: TextsRows(source),
    options=("encoding",),
    opened=open_texts,
    takes=_takes,
    by_line=False,
)
