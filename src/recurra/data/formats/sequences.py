"""A series a file: CSV files in a folder for each class, or in one folder with a file that says the label of each.

That file has `target`, `label` or `class` in its name, and two columns: which file, by its name or the number at its
end, and the label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.formats.by_class import ClassRows, has_classes
from recurra.data.formats.documents import Folder, names_in, parts_of
from recurra.data.formats.format import Format, ReadOptions, Rows
from recurra.data.formats.lines import open_lines
from recurra.data.formats.ts import LABEL, VALUES

SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
_TARGET = re.compile(r"target|label|class", re.IGNORECASE)
_APART = re.compile(r"[,;]\s*|\s+")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|\?|", re.IGNORECASE)


class TargetRows:
    """Rows of files, in the order of the file of targets."""

    columns = (VALUES, LABEL)

    def __init__(self, source: Folder, target: Path) -> None:
        self._source, self._target = source, target
        self._files = _by_name(source.folder, target)
        self._rows = iter(_cells(target))
        source.said.append(f"labels: from {target.name}, {len(self._files)} files of series beside it.")

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next file. Raises BadRowError for a target without a file, or with other cells than two."""
        number, cells = next(self._rows)
        self._source.number += 1
        origin = Origin(str(self._target), number)
        if len(cells) != 2:
            raise self._source.bad(f"{origin}: has {len(cells)} cells, expected two: which file, and its label.")
        file = self._files.get(cells[0].removesuffix(Path(cells[0]).suffix), self._files.get(cells[0]))
        if file is None:
            raise self._source.bad(f"{origin}: there is no file for {as_written(cells[0])}.")
        return Origin(str(file)), {VALUES: steps_of(file), LABEL: cells[1]}


def steps_of(file: Path) -> list[list[str]]:
    """The cells of each step, as they are written; a first line of names is passed over.

    Raises DataError for lines of different numbers of cells.
    """
    rows = _cells(file)
    wrong = next((number for number, cells in rows if len(cells) != len(rows[0][1])), None)
    if wrong is not None:
        raise DataError(f"{file}:{wrong}: has another number of cells than line {rows[0][0]}; expected as many.")
    return [cells for _, cells in rows]


def _cells(file: Path) -> list[tuple[int, list[str]]]:
    """Lines with their numbers, without blank ones, and without a first one that has no number."""
    with open_lines(file) as lines:
        rows = [(line.number, _APART.split(line.text.strip())) for line in lines if line.text.strip()]
    has_names = bool(rows) and not any(_NUMBER.fullmatch(cell) for cell in rows[0][1])
    return rows[1:] if has_names else rows


def _by_name(folder: Path, target: Path) -> dict[str, Path]:
    """Files by the names that a target may have for them: without suffix, and the number at the end."""
    found: dict[str, Path] = {}
    for name in names_in(folder):
        file = folder / name
        if file == target or file.suffix.lower() not in SUFFIXES:
            continue
        number = re.search(r"\d+$", file.stem)
        for key in {file.stem, *([number[0], str(int(number[0]))] if number else [])}:
            if key in found:
                raise DataError(f"{folder}: {found[key].name} and {name} are both '{key}' for {target.name}.")
            found[key] = file
    return found


def _target(folder: Path) -> Path | None:
    """The file of targets, where there is one and no more."""
    if not folder.is_dir():
        return None
    names = [name for name in names_in(folder) if name.lower().endswith(SUFFIXES)]
    targets = [name for name in names if _TARGET.search(name)]
    return folder / targets[0] if len(targets) == 1 and len(names) > 1 else None


@contextmanager
def open_sequences(path: Path, options: ReadOptions) -> Iterator[Folder]:
    """Open a folder, or one file for `predict`. Raises DataError for a folder of neither form."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if path.is_dir() and _target(path) is None and not has_classes(path, SUFFIXES):
        raise DataError(
            f"{path}: expected a folder of CSV files for each class, or CSV files with one whose name has target, "
            "label or class in it."
        )
    yield Folder(path, None)


def _rows(source: Folder, options: ReadOptions) -> Rows:
    target = _target(source.folder)
    return ClassRows(source, VALUES, SUFFIXES, steps_of) if target is None else TargetRows(source, target)


def _takes(path: Path) -> str:
    if path.is_dir() and (target := _target(path)) is not None and target.suffix.lower() == ".csv":
        return f"it holds a series a file, and {target.name} their labels"
    return "its folders hold CSV files, and each is a class" if path.is_dir() and has_classes(path, ".csv") else ""


def _splits(path: Path) -> Mapping[str, Path]:
    parts = parts_of(path)
    return parts if all(_target(part) or has_classes(part, SUFFIXES) for part in parts.values()) else {}


SEQUENCES = Format(
    doc="a series a file: CSV files by class, or beside a file with their labels",
    suffixes=(),
    open=_rows,
    opened=open_sequences,
    takes=_takes,
    by_line=False,
    splits=_splits,
)
