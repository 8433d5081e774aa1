"""Arrays of NumPy, `.npz` and `.npy`, and of IDX, as MNIST has them: a series for each row of the first axis.

`.npz`: an array X (series, steps, numbers) or (series, steps), y (series,) with the labels where there are any, and
lengths (series,) where shorter series are padded; y is (series, numbers) where several are to be predicted. Pictures
may be (pictures, height, width, colours): a step is a row of pixels, the colours of each side by side.
`.npy`: X_train.npy, with the labels in y_train.npy beside it.
IDX: train-images-idx3-ubyte, with the labels in train-labels-idx1-ubyte.
Pickled arrays are refused: they could run code.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import BadRowError, Line, open_bytes, refuse_missing
from recurra.data.formats.ts import LABEL, VALUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

X_NAMES = ("x", "values", "data", "series", "features", "inputs")
Y_NAMES = ("y", "label", "labels", "target", "targets", "classes")
LENGTH_NAMES = ("lengths", "length")
# Bytes of an array.
MOST_BYTES = 8 * 2**30
# Numbers of a pixel.
COLOURS = (1, 3)
# What NumPy raises for a file that is none of its own, is cut, or has a header that nobody has written whole.
BROKEN = (ValueError, OSError, EOFError, KeyError, TypeError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error)
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class Arrays:
    """The arrays of a file. x: (series, steps, ...)      number: series read so far. said: see `Rows`."""

    def __init__(self, path: Path, x: NDArray[Any], y: NDArray[Any] | None, lengths: NDArray[Any] | None) -> None:
        self.path, self.x, self.y, self.lengths = str(path), x, y, lengths
        self.number = 0
        coloured = x.ndim == 4 and x.shape[3] in COLOURS
        if not (coloured or x.ndim in (2, 3)) or x.dtype.kind not in "iufb":
            raise DataError(
                f"{path}: X has shape {x.shape} of {x.dtype}, expected numbers in (series, steps), (series, steps, "
                "numbers), or of pictures (pictures, height, width, 1 or 3 colours)."
            )
        said = f"axes: {counted(len(x), 'picture')} of {x.shape[1]} by {x.shape[2]} pixels." if coloured else _axes(x)
        self.x = x = x.reshape(*x.shape[:2], -1) if coloured else x
        for name, other in (("y", y), ("lengths", lengths)):
            shape = other.shape[:1] if name == "y" and other is not None and _are_lists(other) else None
            if other is not None and (shape or other.shape) != (len(x),):
                raise DataError(f"{path}: {name} has shape {other.shape}, expected ({len(x)},), one for each series.")
        self._check_lengths()
        self.said = [said]

    def _check_lengths(self) -> None:
        if self.lengths is None:
            return
        wrong = self.lengths.dtype.kind not in "iu" or ((self.lengths < 0) | (self.lengths > self.x.shape[1])).any()
        if wrong:
            raise DataError(f"{self.path}: lengths are not all whole numbers from 0 to {self.x.shape[1]}, the steps.")

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for a series."""
        return BadRowError(f"{self.path}: series {self.number}: {message}", line or Line(0, "", ""))


class ArrayRows:
    """Rows of arrays: `values` (T, F) as numbers, and `label` as text."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self.columns = (VALUES, LABEL) if arrays.y is not None else (VALUES,)

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next series, whose place is the file with its number."""
        import numpy as np

        arrays = self._arrays
        if arrays.number >= len(arrays.x):
            raise StopIteration
        k, arrays.number = arrays.number, arrays.number + 1
        steps = np.asarray(arrays.x[k], dtype=np.float64)
        values = {VALUES: steps if arrays.lengths is None else steps[: int(arrays.lengths[k])]}
        return Origin(arrays.path, k + 1), values | ({} if arrays.y is None else {LABEL: label_of(arrays.y[k])})


def _are_lists(y: NDArray[Any]) -> bool:
    """Whether there are several numbers for each series, to be predicted."""
    return y.ndim == 2 and y.dtype.kind in "iuf"


def label_of(value: Any) -> Any:
    """A label of an array as text, 3 of 3, 3.0 and b"3"; several numbers as a list."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return value.astype(np.float64).tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.floating | float) and math.isfinite(value) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _axes(x: NDArray[Any]) -> str:
    numbers = x.shape[2] if x.ndim == 3 else 1
    said = f"axes: {counted(len(x), 'series', 'series')}, {counted(x.shape[1], 'step')}, {counted(numbers, 'number')}."
    if numbers > x.shape[1]:
        said += " There are more numbers than steps: where the axes are (series, numbers, steps), as aeon has them, "
        said += "save X.transpose(0, 2, 1)."
    return said


@contextmanager
def open_arrays(path: Path, options: ReadOptions) -> Iterator[Arrays]:
    """Open a file. Raises DataError for what is damaged, pickled, or has no X."""
    refuse_missing(path)
    yield _of_npz(path) if path.suffix.lower() == ".npz" else _of_npy(path)


@contextmanager
def open_idx(path: Path, options: ReadOptions) -> Iterator[Arrays]:
    """Open images, with the labels that lie beside. Raises DataError for what is no IDX file, or is cut off."""
    labels = idx_labels(path)
    yield Arrays(path, _idx(path), _idx(labels) if labels != path and labels.is_file() else None, None)


def idx_labels(path: Path) -> Path:
    """The file of labels beside one of images, by its name."""
    return path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))


def _of_npz(path: Path) -> Arrays:
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            large = [one.filename for one in archive.infolist() if one.file_size > MOST_BYTES]
        if large:
            raise DataError(f"{path}: {large[0]} unpacks to more than {MOST_BYTES / 2**30:g} GiB, the limit.")
        with np.load(path, allow_pickle=False) as file:
            found = {name: _named(file.files, names) for name, names in _WANTED.items()}
            if (x := found["X"]) is None:
                known = ", ".join(file.files)
                raise DataError(f"{path}: has no array X, but {known}. Save it as np.savez(file, X=X, y=y).")
            y, lengths = (file[name] if name is not None else None for name in (found["y"], found["lengths"]))
            return Arrays(path, file[x], y, lengths)
    except BROKEN as error:
        raise _unreadable(path, error) from None


_WANTED = {"X": X_NAMES, "y": Y_NAMES, "lengths": LENGTH_NAMES}


def shape_of(path: Path) -> tuple[int, ...]:
    """The shape of X, from the file's header; () where it cannot be told."""
    import numpy as np

    try:
        if path.suffix.lower() == ".npy":
            return _mapped(path).shape
        with zipfile.ZipFile(path) as archive:
            name = _named([one.removesuffix(".npy") for one in archive.namelist()], X_NAMES)
            with archive.open(f"{name}.npy") as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return tuple(read(file)[0])
    except BROKEN:
        return ()


def _of_npy(path: Path) -> Arrays:
    beside = path.with_name("y" + path.name[1:])
    try:
        x = _mapped(path)
    except BROKEN as error:
        raise _unreadable(path, error) from None
    try:
        return Arrays(path, x, _mapped(beside) if path.name[:1] in "xX" and beside.is_file() else None, None)
    except BROKEN as error:
        raise _unreadable(beside, error) from None


def _mapped(path: Path) -> NDArray[Any]:
    """An array whose numbers stay on the disk. Raises one of BROKEN for what is none."""
    import numpy as np

    with open(path, "rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            raise ValueError("it does not begin as arrays of .npy do")
    found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    if "pickle" in str(error).lower() or "Python objects" in str(error):
        return DataError(
            f"{path}: holds pickled objects, which could run code and are not read. Save numbers and texts: of "
            "series of different lengths a padded array X with their lengths."
        )
    return DataError(f"{path}: cannot be read: {str(error)[:160] or type(error).__name__}. Copy or save it again.")


def _named(there: list[str], names: tuple[str, ...]) -> str | None:
    return next((one for name in names for one in there if one.lower() == name), None)


def _idx(path: Path) -> NDArray[Any]:
    import numpy as np

    with open_bytes(path) as file:
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not 1 <= head[3] <= 4:
            raise DataError(f"{path}: is no IDX file: it begins with {head!r}.")
        shape = struct.unpack(f">{head[3]}I", file.read(4 * head[3]))
        kind = np.dtype(IDX_TYPES[head[2]])
        wanted = math.prod(shape) * kind.itemsize
        if wanted > MOST_BYTES:
            raise DataError(f"{path}: its header says {wanted:,} bytes, more than {MOST_BYTES:,}, the limit.")
        content = file.read(wanted)
    if len(content) < wanted:
        raise DataError(f"{path}: is cut off: its header says {wanted:,} bytes, and {len(content):,} are there.")
    return np.frombuffer(content, kind).reshape(shape)


NUMPY = Format(
    doc="arrays of NumPy: X (series, steps, numbers) and y, in a .npz, or in X.npy and y.npy",
    suffixes=(".npz", ".npy"),
    open=lambda arrays, options: ArrayRows(arrays),
    opened=open_arrays,
    by_line=False,
)
IDX = Format(
    doc="images of MNIST and its like by rows: train-images-idx3-ubyte, labels beside it",
    suffixes=(),
    open=lambda arrays, options: ArrayRows(arrays),
    opened=open_idx,
    takes=lambda path: "its name says IDX" if "idx3" in path.name and path.is_file() else "",
    by_line=False,
)
