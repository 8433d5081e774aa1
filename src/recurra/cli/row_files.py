"""Rows that a run has made, in files: tables, JSON, arrays of NumPy, and pictures."""

from __future__ import annotations

import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recurra.base.atomic import replacing
from recurra.base.optional import needs
from recurra.cli.failures import UsageError
from recurra.cli.tables import TABLES
from recurra.cli.terminal import json_text, one_line, put_json, say

if TYPE_CHECKING:
    from recurra.api import CodedRows

# Pixels between the pictures of a sheet.
GAP = 2
EXPECTED = ".csv, .tsv, .jsonl, .json, .npz, .npy, .png, or without an ending, a new folder of pictures"


def refuse_row_file(path: Path | None, command: str, *, as_json: bool) -> None:
    """Raise UsageError for a file that could not be written, before anything else is done."""
    if path is None:
        return
    if as_json:
        raise UsageError(f"recurra {command}: --json prints and --output writes a file; choose one.")
    if path.suffix.lower() not in WRITERS:
        raise UsageError(f"--output {path}: expected a name that ends in {EXPECTED}.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder '{path.parent}'. Make it, or choose another.")
    if not path.suffix and path.exists():
        raise UsageError(f"--output {path}: is there already; choose another name for the folder of pictures.")


def write_rows(path: Path, found: CodedRows) -> str:
    """Write rows as the ending says, whole or not at all; what was written, as a sentence.

    .npz has an array for each column, and the codes; .npy one array, of several columns side by side.
    Raises UsageError for pictures of rows that are none, and for arrays of rows of several lengths.
    """
    WRITERS[path.suffix.lower()](path, found)
    number = len(found.rows)
    return f"{path}: {number:,} {'row' if number == 1 else 'rows'} written."


def tell_rows(path: Path | None, found: CodedRows, *, as_json: bool = False) -> None:
    """Rows in a file; without one on standard output, as one JSON or a row a line."""
    if path is not None:
        say(write_rows(path, found))
    elif as_json:
        put_json(found.rows)
    else:
        for row in found.rows:
            put_json(row, indent=None)


def _table(path: Path, found: CodedRows) -> None:
    TABLES[path.suffix.lower()](path, found.rows)


def _json(path: Path, found: CodedRows) -> None:
    with replacing(path) as file:
        file.write(f"{json_text(found.rows)}\n".encode())


def _arrays(path: Path, found: CodedRows) -> Mapping[str, Any]:
    return {name: _array(path, name, [row[name] for row in found.rows]) for name in found.rows[0]}


def _array(path: Path, name: str, values: list[Any]) -> Any:
    import numpy as np

    lengths = [len(value) for value in values if isinstance(value, list)]
    if lengths and (len(lengths) < len(values) or min(lengths) < max(lengths)):
        raise UsageError(
            f"--output {path}: '{name}' has {min(lengths):,} to {max(lengths):,} steps, and an array holds rows of one "
            "length; take .jsonl or .csv."
        )
    made = np.array(values)
    if made.dtype.hasobject:
        odd = next((value for value in values if np.array(value).dtype.hasobject), values)
        raise UsageError(
            f"--output {path}: '{name}' holds {one_line(str(odd))[:60]}, and an array holds numbers or texts alone; "
            "take .jsonl or .csv."
        )
    return made


def _npz(path: Path, found: CodedRows) -> None:
    import numpy as np

    arrays = dict(_arrays(path, found))
    if found.codes is not None:
        arrays["codes" if "codes" not in arrays else "codes_"] = found.codes
    # np.savez takes a column called file, or allow_pickle, for an argument of its own.
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)


def _npy(path: Path, found: CodedRows) -> None:
    import numpy as np

    each = list(_arrays(path, found).values())
    with replacing(path) as file:
        np.save(file, each[0] if len(each) == 1 else np.stack(each, 1), allow_pickle=False)


def _pictures(path: Path, found: CodedRows) -> Any:
    if found.pictures is None:
        raise UsageError(f"--output {path}: rows of this run are no pictures; take .csv, .npz or .json.")
    return found.pictures


def _sheet(path: Path, found: CodedRows) -> None:
    """All pictures beside one another, about as many lines as columns."""
    import numpy as np

    pictures = _pictures(path, found)
    number, height, width = pictures.shape[:3]
    across = math.ceil(math.sqrt(number))
    down = -(-number // across)
    sheet = np.full((down * (height + GAP) - GAP, across * (width + GAP) - GAP, *pictures.shape[3:]), 127, np.uint8)
    for n, picture in enumerate(pictures):
        top, left = n // across * (height + GAP), n % across * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    image = needs("PIL.Image", "images", f"{path}: a picture")
    with replacing(path) as file:
        image.fromarray(sheet).save(file, "PNG")


def _folder(path: Path, found: CodedRows) -> None:
    """One PNG a row; the folder is renamed when all are in it."""
    pictures = _pictures(path, found)
    image = needs("PIL.Image", "images", f"{path}: a picture")
    temporary = path.absolute().parent / f".tmp-{os.getpid()}-{path.name}"
    digits = len(str(len(pictures)))
    try:
        temporary.mkdir()
        for n, picture in enumerate(pictures, start=1):
            image.fromarray(picture).save(temporary / f"{n:0{digits}}.png")
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


WRITERS: Final[Mapping[str, Callable[[Path, Any], None]]] = {
    **dict.fromkeys(TABLES, _table),
    ".json": _json,
    ".npz": _npz,
    ".npy": _npy,
    ".png": _sheet,
    "": _folder,
}


def row_given(text: str, rows: Any) -> Any:
    """A row of a command line: its place in a file, from 1, or the row itself as JSON. rows: of --input, None without

    Raises UsageError.
    """
    if text.isascii() and text.isdigit():
        if rows is None:
            raise UsageError(f"--between {text}: is the place of a row; say of which file with --input FILE.")
        if not 1 <= int(text[:12]) <= len(rows):
            raise UsageError(f"--between {text}: expected a place from 1 to {len(rows):,}.")
        return rows[int(text) - 1]
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"--between {text[:60]}: expected the place of a row of --input, or a row as JSON.") from None
    return found
