"""Features that the user brings, a file for each recording: NumPy's .npy, HTK's and Sphinx's parameter files.

What a file holds is read from its header; its numbers when they are asked for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.data.fields import numbers_of

SUFFIXES = (".npy", ".mfc", ".htk", ".fbank", ".plp")
# Numbers of one recording: 700 MB in double precision.
MOST_NUMBERS = 90_000_000
# Sphinx's files do not say how many numbers a frame has; its own features have so many.
SPHINX_WIDTH = 13
# Bits of HTK's kinds of parameters: packed into 16 bits, by a codebook; of the latter nobody can undo it.
_COMPRESSED, _HTK_HEADER = 0x0400, 12
Kind = Literal["memory", "npy", "htk", "sphinx>", "sphinx<"]


@dataclass(frozen=True, slots=True)
class Frames:
    """Features of a recording, (steps, width). source: their file, or the numbers; digest: of what is in it"""

    source: Path | NDArray[np.float32]
    kind: Kind
    steps: int
    width: int
    digest: bytes
    origin: Origin

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.source) if isinstance(self.source, Path) else str(self.origin)

    def read(self) -> NDArray[np.float32]:
        """(steps, width). Raises DataError for a file that has changed, and for what is no finite number."""
        found = self.source if isinstance(self.source, np.ndarray) else self._of_file(self.source)
        if not np.isfinite(found).all():
            step = int(np.flatnonzero(~np.isfinite(found).all(1))[0])
            raise DataError(f"{self.name}: frame {step + 1} holds what is no finite number.")
        return found

    def _of_file(self, path: Path) -> NDArray[np.float32]:
        try:
            if self.kind == "npy":
                found: Any = np.load(path, allow_pickle=False)
            else:
                skip = _HTK_HEADER if self.kind == "htk" else 4
                data = path.read_bytes()[skip : skip + 4 * self.steps * self.width]
                found = np.frombuffer(data, "<f4" if self.kind == "sphinx<" else ">f4").reshape(-1, self.width)
            if found.shape != (self.steps, self.width):
                raise ValueError("its size is another one")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: has changed since its header was read: {str(error)[:100]}.") from None
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is named
            return np.ascontiguousarray(found, np.float32)


def frames_of(value: Any, origin: Origin, column: str, width: int | None = None) -> Frames:
    """The features in a field: an array, lists of numbers, or the name of a file, relative to the file that names it.

    width: numbers of a frame in Sphinx's files, 13 where it is None
    Raises DataError, a sentence, for anything else.
    """
    if isinstance(value, str | Path) and Path(str(value).strip().lower()).suffix in SUFFIXES:
        return _of_header(Path(origin.path).parent / str(value).strip(), origin, column, width or SPHINX_WIDTH)
    if isinstance(value, str | Path) and not str(value).lstrip().startswith("["):
        known = ", ".join(SUFFIXES)
        raise DataError(
            f"{origin}: column '{column}' holds {str(value)!r:.60}, expected a file of features ({known}). Of sounds "
            "say how they are read: task.sound."
        )
    found = numbers_of(value, origin, column).astype(np.float32)
    return Frames(found, "memory", len(found), found.shape[1], digest_of(found), origin)


def names_frames(value: Any) -> bool:
    """Whether a value of a file names a file of features."""
    return isinstance(value, str | Path) and Path(str(value).strip().lower()).suffix in SUFFIXES


def _of_header(path: Path, origin: Origin, column: str, width: int) -> Frames:
    if not path.is_file():
        raise DataError(f"{origin}: column '{column}': {path}: no such file.")
    try:
        kind, steps, found = _shape(path, width)
        if steps * found > MOST_NUMBERS:
            raise ValueError(f"it holds {steps * found:,} numbers, more than {MOST_NUMBERS:,}, the limit")
        digest = digest_of(path.read_bytes())
    except (OSError, ValueError, OverflowError, struct.error) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: is no file of features that can be read: {told[:160].rstrip('.')}.") from None
    return Frames(path, kind, steps, found, digest, origin)


def _mapped(path: Path) -> NDArray[Any]:
    """An array whose numbers stay on the disk. Raises ValueError for what is none, however NumPy says it."""
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError("it is no file of NumPy's .npy")
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, SyntaxError, TypeError, TokenError):  # of headers that nobody has written whole
        raise ValueError("its header is broken") from None
    return found


def _shape(path: Path, width: int) -> tuple[Kind, int, int]:
    """What a file is, its frames and the numbers of each. Raises ValueError for what it is not."""
    size = path.stat().st_size
    if path.suffix.lower() == ".npy":
        array = _mapped(path)
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise ValueError(f"an array of {array.dtype} in {array.ndim} dimensions; expected frames by numbers")
        if array.size == 0 and array.shape[0]:
            raise ValueError("it holds frames of no number")
        return "npy", *array.shape
    with open(path, "rb") as file:
        head = file.read(_HTK_HEADER)
    if len(head) < 4:
        raise ValueError(f"its {size:,} bytes are no header of HTK or Sphinx")
    for kind, order in (("sphinx>", ">"), ("sphinx<", "<")):
        (numbers,) = struct.unpack(f"{order}i", head[:4])
        if numbers >= 0 and 4 + 4 * numbers == size:
            if numbers % width:
                raise ValueError(f"{numbers} numbers are no frames of {width}; set task.frame_size")
            return kind, numbers // width, width  # type: ignore[return-value]
    frames, _, bytes_each, what = struct.unpack(">iihh", head)
    if what & _COMPRESSED:
        raise ValueError("HTK's compressed parameters; write them without _C")
    if frames < 0 or bytes_each <= 0 or bytes_each % 4 or not 0 <= size - _HTK_HEADER - frames * bytes_each <= 2:
        raise ValueError(f"its header and its {size:,} bytes agree with neither HTK nor Sphinx. It may be cut off")
    return "htk", frames, bytes_each // 4
