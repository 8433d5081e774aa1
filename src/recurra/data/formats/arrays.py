"""Arrays of NumPy, `.npz` and `.npy`, and of IDX, as MNIST has them: a series for each row of the first axis.

`.npz`: an array X (series, steps, numbers) or (series, steps), y (series,) with the labels where there are any, and
lengths (series,) where shorter series are padded; y is (series, numbers) where several are to be predicted. Pictures
may be (pictures, height, width, colours): a step is a row of pixels, the colours of each side by side. Joints may be
(series, frames, joints, coordinates), or (frames of all series, joints, coordinates) with the frames of each as
lengths; a step is a frame, the coordinates of each joint side by side. Other arrays (series,) are columns, such as
subject.
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
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import BadRowError, Line, open_bytes, refuse_missing
from recurra.data.formats.ts import LABEL, VALUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOINT_NAMES = ("pose", "poses", "joints", "keypoints", "landmarks", "skeletons")
X_NAMES = ("x", "values", "data", "series", "features", "inputs", *JOINT_NAMES)
Y_NAMES = ("y", "label", "labels", "target", "targets", "classes")
LENGTH_NAMES = ("lengths", "length", "frames")
# Bytes of an array.
MOST_BYTES = 8 * 2**30
# Numbers of a pixel.
COLOURS = (1, 3)
# What NumPy raises for a file that is none of its own, is cut, or has a header that nobody has written whole; and
# zipfile for parts that are encrypted, or packed in a way of their own (RuntimeError).
BROKEN = (
    ValueError, OSError, EOFError, KeyError, TypeError, SyntaxError, TokenError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class Arrays:
    """The arrays of a file. x: (series, steps, ...)      number: series read so far. said: see `Rows`.

    begins: where the steps of each series begin in x, where all stand one behind the other; None: x has a row for each
    joints: whether x is called as joints are      others: arrays (series,) by name, which are columns
    """

    def __init__(
        self,
        path: Path,
        x: NDArray[Any],
        y: NDArray[Any] | None,
        lengths: NDArray[Any] | None,
        *,
        joints: bool = False,
        others: Mapping[str, NDArray[Any]] = MappingProxyType({}),
    ) -> None:
        self.path, self.y, self.lengths = str(path), y, lengths
        self.number = 0
        self.begins = _begins(x, lengths)
        series = len(x) if self.begins is None or lengths is None else len(lengths)
        shape = x.shape if self.begins is None else (series, *x.shape)  # as if each had a row
        of_joints = len(shape) == 4 and (joints or shape[3] in (2, 4))
        coloured = len(shape) == 4 and not of_joints and shape[3] in COLOURS
        if not (coloured or of_joints or len(shape) in (2, 3)) or x.dtype.kind not in "iufb":
            raise DataError(
                f"{path}: X has shape {x.shape} of {x.dtype}, expected numbers in (series, steps), (series, steps, "
                "numbers), of pictures (pictures, height, width, 1 or 3 colours), or of joints (series, frames, "
                "joints, coordinates)."
            )
        self.said = [_axes(shape, pictures=coloured, apart=self.begins is not None)]
        self.x = x.reshape(*x.shape[: 1 if self.begins is not None else 2], -1) if coloured or of_joints else x
        for name, other in (("y", y), ("lengths", lengths)):
            wanted = other.shape[:1] if name == "y" and other is not None and _are_lists(other) else None
            if other is not None and (wanted or other.shape) != (series,):
                raise DataError(f"{path}: {name} has shape {other.shape}, expected ({series},), one for each series.")
        self.series = series
        self.others = {
            name: one for name, one in others.items() if one.shape == (series,) and one.dtype.kind in "iufbUS"
        }
        self._check_lengths()

    def _check_lengths(self) -> None:
        if self.lengths is None or self.begins is not None:
            return
        wrong = self.lengths.dtype.kind not in "iu" or ((self.lengths < 0) | (self.lengths > self.x.shape[1])).any()
        if wrong:
            raise DataError(
                f"{self.path}: lengths are not all whole numbers from 0 to {self.x.shape[1]}, the steps; nor are they "
                f"{len(self.x):,} together, as of steps that stand one behind the other."
            )

    def steps(self, k: int) -> NDArray[Any]:
        """(T, numbers) of series k."""
        if self.begins is not None:
            found: NDArray[Any] = self.x[self.begins[k] : self.begins[k + 1]]
            return found
        row: NDArray[Any] = self.x[k]
        return row if self.lengths is None else row[: int(self.lengths[k])]

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for a series."""
        return BadRowError(f"{self.path}: series {self.number}: {message}", line or Line(0, "", ""))


class ArrayRows:
    """Rows of arrays: `values` (T, F) as numbers, and `label` as text."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self.columns = (VALUES, *((LABEL,) if arrays.y is not None else ()), *arrays.others)

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next series, whose place is the file with its number."""
        import numpy as np

        arrays = self._arrays
        if arrays.number >= arrays.series:
            raise StopIteration
        k, arrays.number = arrays.number, arrays.number + 1
        values: dict[str, Any] = {VALUES: np.asarray(arrays.steps(k), dtype=np.float64)}
        values |= {} if arrays.y is None else {LABEL: label_of(arrays.y[k])}
        return Origin(arrays.path, k + 1), values | {name: label_of(one[k]) for name, one in arrays.others.items()}


def _begins(x: NDArray[Any], lengths: NDArray[Any] | None) -> NDArray[Any] | None:
    """Where each series begins in steps that stand one behind the other, and the end; None where each has a row."""
    if lengths is None or lengths.ndim != 1 or lengths.dtype.kind not in "iu" or x.ndim < 2 or len(lengths) == len(x):
        return None
    import numpy as np

    ends = lengths.cumsum(dtype=np.int64)
    good = bool((lengths >= 0).all()) and len(ends) > 0 and int(ends[-1]) == len(x)
    return np.concatenate([[0], ends]) if good else None


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


def _axes(shape: tuple[int, ...], *, pictures: bool, apart: bool) -> str:
    """What the axes were taken for. apart: (series, all steps, ...), of steps that stand one behind the other"""
    if pictures and not apart:
        return f"axes: {counted(shape[0], 'picture')} of {shape[1]} by {shape[2]} pixels."
    number, numbers = counted(shape[0], "series", "series"), shape[2] if len(shape) == 3 else 1
    steps = f"{counted(shape[1], 'step')} one behind the other" if apart else counted(shape[1], "step")
    if len(shape) == 4:
        return f"axes: {number}, {steps}, {counted(shape[2], 'joint')} of {counted(shape[3], 'number')} each."
    said = f"axes: {number}, {steps}, {counted(numbers, 'number')}."
    if numbers > shape[1] and not apart:
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
            for one in archive.infolist():
                _refuse_cut(path, archive, one)
        with np.load(path, allow_pickle=False) as file:
            found = {name: _named(file.files, names) for name, names in _WANTED.items()}
            if (x := found["X"]) is None:
                known = ", ".join(file.files)
                raise DataError(f"{path}: has no array X, but {known}. Save it as np.savez(file, X=X, y=y).")
            y, lengths = (file[name] if name is not None else None for name in (found["y"], found["lengths"]))
            rest = {name: file[name] for name in file.files if name not in found.values()}
            return Arrays(path, file[x], y, lengths, joints=x.lower() in JOINT_NAMES, others=rest)
    except BROKEN as error:
        raise _unreadable(path, error) from None


_WANTED = {"X": X_NAMES, "y": Y_NAMES, "lengths": LENGTH_NAMES}


def shape_of(path: Path) -> tuple[int, ...]:
    """The shape of X, from the file's header; () where it cannot be told."""
    try:
        if path.suffix.lower() == ".npy":
            return _mapped(path).shape
        with zipfile.ZipFile(path) as archive:
            name = _named([one.removesuffix(".npy") for one in archive.namelist()], X_NAMES)
            with archive.open(f"{name}.npy") as file:
                return _header(file)[0]
    except BROKEN:
        return ()


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], Any]:
    """The shape and the type of an array; the file is read up to its numbers."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    return tuple(shape), kind


def _refuse_cut(path: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Raise DataError for an array whose header says more than its part holds: NumPy asks for all of that memory."""
    import numpy as np

    prefix = np.lib.format.MAGIC_PREFIX
    with archive.open(part) as file:
        if file.read(len(prefix)) != prefix:
            return
    with archive.open(part) as file:
        shape, kind = _header(file)
        wanted, there = math.prod(shape) * kind.itemsize, part.file_size - file.tell()
    if wanted > there and not kind.hasobject:
        raise DataError(
            f"{path}: its part {part.filename} is cut off: its header says {wanted:,} bytes, and {there:,} are there. "
            "Copy or save it again."
        )


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
    try:
        with open_bytes(path) as file:
            return _idx_of(path, file)
    except BROKEN as error:
        raise _unreadable(path, error) from None


def _idx_of(path: Path, file: IO[bytes]) -> NDArray[Any]:
    import numpy as np

    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not 1 <= head[3] <= 4:
        raise DataError(f"{path}: is no IDX file: it begins with {head!r}.")
    sizes = file.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise DataError(
            f"{path}: is cut off in its header: expected {4 * head[3]} bytes with the sizes of its axes, got "
            f"{len(sizes)}. Copy it again."
        )
    shape = struct.unpack(f">{head[3]}I", sizes)
    kind = np.dtype(IDX_TYPES[head[2]])
    wanted = math.prod(shape) * kind.itemsize
    if wanted > MOST_BYTES:
        raise DataError(f"{path}: its header says {wanted:,} bytes, more than {MOST_BYTES:,}, the limit.")
    content = file.read(wanted)
    file.read(1)  # gzip compares its checksum at the end
    if len(content) < wanted:
        raise DataError(f"{path}: is cut off: its header says {wanted:,} bytes, and {len(content):,} are there.")
    return np.frombuffer(content, kind).reshape(shape)


NUMPY = Format(
    doc="arrays of NumPy: X (series, steps, numbers), or joints, and y, in a .npz, or in X.npy and y.npy",
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
