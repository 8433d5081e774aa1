"""Numbers that another network has said of a picture, which the user brings: a .npy file for each picture.

One vector (F,), a vector for each place (P, F), or for each cell of a grid (H, W, F), row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from os.path import isfile
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.data.fields import numbers_of

SUFFIX = ".npy"
# Numbers of one picture: a grid of 64 x 64 with 4,096 each.
MOST_NUMBERS = 2**24


@dataclass(frozen=True, slots=True)
class PictureFeatures:
    """Features of a picture, (places, width). source: their file, or the numbers; grid: height and width in places

    digest: of what is in it      origin: where it is named
    """

    source: Path | NDArray[np.float32]
    places: int
    width: int
    grid: tuple[int, int]
    digest: bytes
    origin: Origin

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.source) if isinstance(self.source, Path) else str(self.origin)

    def read(self) -> NDArray[np.float32]:
        """(places, width). Raises DataError for a file that has changed, and for what is no finite number."""
        found = self.source if isinstance(self.source, np.ndarray) else _loaded(self.source, self.origin)
        if found.size != self.places * self.width:
            raise DataError(f"{self.origin}: {self.name}: has changed since its header was read.")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is named
            flat = np.ascontiguousarray(found, np.float32).reshape(self.places, self.width)
        if not np.isfinite(flat).all():
            raise DataError(f"{self.origin}: {self.name}: holds what is no finite number.")
        return flat


def names_features(value: Any) -> bool:
    """Whether a value of a file names a file of features."""
    return isinstance(value, str | Path) and Path(str(value).strip().lower()).suffix == SUFFIX


def features_of(value: Any, origin: Origin, column: str) -> PictureFeatures:
    """The features in a field: lists of numbers, or the name of a .npy file, relative to the file that names it.

    Raises DataError, a sentence, for anything else.
    """
    if not names_features(value):
        if isinstance(value, str | Path) and not str(value).lstrip().startswith("["):
            raise DataError(
                f"{origin}: column '{column}' holds {str(value)!r:.60}, expected a file of features (.npy). Of "
                "pictures leave task.features out."
            )
        found = numbers_of(value, origin, column).astype(np.float32)
        if not found.size:
            raise DataError(f"{origin}: column '{column}' holds no number, expected features of a picture.")
        return PictureFeatures(found, len(found), found.shape[1], (1, len(found)), digest_of(found), origin)
    path = value if isinstance(value, Path) else Path(origin.path).parent / value.strip()
    if not isfile(path):
        raise DataError(f"{origin}: column '{column}': {path}: no such file.")
    array = _loaded(path, origin)
    if not 1 <= array.ndim <= 3 or not array.size or array.dtype.kind not in "fiu" or array.size > MOST_NUMBERS:
        raise DataError(
            f"{origin}: {path}: holds {array.dtype} of shape {array.shape}; expected numbers of shape (F,), (places, "
            f"F) or (height, width, F), {MOST_NUMBERS:,} at most."
        )
    places = prod(array.shape[:-1])
    grid = (array.shape[0], array.shape[1]) if array.ndim == 3 else (1, places)
    return PictureFeatures(path, places, array.shape[-1], grid, digest_of(path.read_bytes()), origin)


def _loaded(path: Path, origin: Origin) -> NDArray[Any]:
    """An array whose numbers stay on the disk. Raises DataError for what is none."""
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
                raise ValueError("it is no file of NumPy's .npy")
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, SyntaxError, TypeError, ValueError, TokenError) as error:
        raise DataError(f"{origin}: {path}: cannot be read as features: {str(error)[:120].rstrip('.')}.") from None
    return found
