"""Pictures with captions: a folder with captions.csv, or .jsonl, beside its pictures; and COCO's JSON of captions.

COCO: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]} (cocodataset.org/#format-data); a
record for each picture with all of its captions. Names of pictures are relative to the file of captions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os.path import isfile
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.csv import CSV
from recurra.data.formats.format import Format, OpenLines, ReadOptions, Rows
from recurra.data.formats.jsonl import JSONL, parse_object
from recurra.data.formats.lines import BadRowError, Line
from recurra.data.formats.splits import NAMES, split_of
from recurra.data.formats.tsv import TSV

STEM = "captions"
TABLES = {f"{STEM}.csv": CSV, f"{STEM}.tsv": TSV, f"{STEM}.jsonl": JSONL}
# Bytes of COCO's JSON that are read: of train2017 it has 92 MB. Of its beginning some are looked at.
MOST_BYTES, LOOKED = 512 * 2**20, 4096


class CocoFile:
    """An open file of COCO's. path: as the user gave it      number: pictures given out so far"""

    def __init__(self, path: Path) -> None:
        self.path, self.file, self.number = str(path), path, 0

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for the file."""
        return BadRowError(f"{self.path}: {message}", line or Line(0, "", ""))


class CocoRows:
    """Rows of pictures: `image`, a Path, and `caption`, a list."""

    columns = ("image", "caption")

    def __init__(self, source: CocoFile) -> None:
        self._source, self.said = source, list[str]()
        self._rows = self._all()

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next picture that has a caption."""
        row = next(self._rows)
        self._source.number += 1
        return Origin(self._source.path, None), row

    def _all(self) -> Iterator[Mapping[str, Any]]:
        names, captions = _tables(self._source)
        folder = _folder_of(self._source.file, names)
        for number, name in names.items():
            if number in captions:
                yield {"image": folder / name, "caption": captions[number]}
        if left := sum(number not in captions for number in names):
            self.said.append(f"left out: {counted(left, 'picture')} without a caption.")


def _tables(source: CocoFile) -> tuple[dict[Any, str], dict[Any, list[str]]]:
    """File names and captions, by the number of the picture. Raises DataError for what is no such file."""
    data = _read(source.file)
    names, captions = dict[Any, str](), dict[Any, list[str]]()
    for k, one in enumerate(_list(data, "images", source)):
        if not isinstance(one, dict) or not isinstance(one.get("file_name"), str) or not _is_id(one.get("id")):
            raise source.bad(f"images[{k}]: expected an object with id and file_name, got {one!r:.60}.")
        names[one["id"]] = one["file_name"]
    for k, one in enumerate(_list(data, "annotations", source)):
        number = one.get("image_id") if isinstance(one, dict) and isinstance(one.get("caption"), str) else None
        if not _is_id(number) or number not in names:
            raise source.bad(f"annotations[{k}]: expected the caption of one of its images, got {one!r:.60}.")
        captions.setdefault(one["image_id"], []).append(one["caption"].strip())
    return names, captions


def _is_id(value: Any) -> bool:
    """Whether a value numbers a picture: COCO has numbers, others have texts."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise DataError(f"{path}: has {size:,} bytes, more than {MOST_BYTES:,}, the limit.")
        return parse_object(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(f"{path}: {str(error)[:200]}") from None


def _list(data: Mapping[str, Any], key: str, source: CocoFile) -> list[Any]:
    found = data.get(key)
    if not isinstance(found, list):
        raise source.bad(f"expected a list under '{key}', as COCO's files of captions have, got {found!r:.60}.")
    return found


def _folder_of(path: Path, names: Mapping[Any, str]) -> Path:
    """Where the pictures are: beside the file, in `images`, or where COCO has them, in ../val2017 for its _val2017."""
    part = path.stem.rpartition("_")[2]
    tried = [path.parent, path.parent / "images", path.parent / part, path.parent.parent / part]
    first = next(iter(names.values()), "")
    found = next((folder for folder in tried if isfile(folder / first)), None)
    if found is None:
        raise DataError(f"{path}: {first} is in none of {', '.join(str(folder / '') for folder in tried)}.")
    return found


@contextmanager
def open_coco(path: Path, options: ReadOptions) -> Iterator[CocoFile]:
    """Open a file of captions. Raises DataError for one that is missing."""
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    yield CocoFile(path)


def _takes_coco(path: Path) -> str:
    """By the keys in front: COCO's own files begin with what they are, and images come before annotations or behind."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return ""
    try:
        with open(path, "rb") as file:
            head = file.read(LOOKED).lstrip()
            file.seek(max(path.stat().st_size - LOOKED, 0))
            both = head + file.read(LOOKED)
    except OSError:
        return ""
    keys = (b'"file_name"', b'"image_id"', b'"caption"')
    return "it has images and their captions, as COCO's files do" if all(key in both for key in keys) else ""


COCO = Format(
    doc="COCO's JSON of captions: pictures with all of their captions",
    suffixes=(),
    open=lambda source, options: CocoRows(source),
    opened=open_coco,
    takes=_takes_coco,
    by_line=False,
)


def _table_of(path: Path) -> Path | None:
    """The file of captions in a folder."""
    return next((path / name for name in TABLES if (path / name).is_file()), None)


@contextmanager
def open_folder(path: Path, options: ReadOptions) -> Iterator[OpenLines]:
    """Open the captions of a folder. Raises DataError for a folder without them."""
    table = _table_of(path)
    if table is None:
        raise DataError(f"{path}: holds none of {', '.join(TABLES)}.")
    with TABLES[table.name].opened(table, options) as lines:
        yield lines


def _rows(lines: OpenLines, options: ReadOptions) -> Rows:
    return TABLES[Path(lines.path).name].open(lines, options)


def splits_of(path: Path) -> Mapping[str, Path]:
    """The folders of splits in a folder, where those hold captions."""
    if not path.is_dir() or _table_of(path) is not None:
        return {}
    found = {split_of(name): path / name for name in NAMES if _table_of(path / name) is not None}
    return found if "train" in found else {}


def _takes(path: Path) -> str:
    if not path.is_dir():
        return ""
    if (table := _table_of(path)) is not None:
        return f"it holds {table.name}"
    return "its folders train, dev and test hold captions" if splits_of(path) else ""


CAPTIONS = Format(
    doc="a folder of pictures with captions.csv, captions.tsv or captions.jsonl",
    suffixes=(),
    open=_rows,
    options=("columns", "paths", "delimiter", "encoding"),
    opened=open_folder,
    takes=_takes,
    by_line=False,
    splits=splits_of,
)
