"""Pictures, or features of pictures, as the tasks that look at them read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.draws import drawn, key_of
from recurra.data.fields import Field
from recurra.data.formats import field as field_of
from recurra.data.picture_features import PictureFeatures, features_of
from recurra.data.pictures import Picture, PictureSize, Pixels, picture_of, pixels_of

Shown = Picture | PictureFeatures
# Bytes of decoded pixels that are kept for the next epoch: 20,000 pictures of 64 x 64 in colour.
KEPT = 2**28
# Pixels of a side of the small picture by which the nearest one is found.
SMALL = 16
# What is drawn, each from numbers of its own.
FLIP, SHIFT, CHOICE = 40, 41, 42


@dataclass(frozen=True, slots=True)
class Moves:
    """What training does to a picture: mirrored, half of the time; moved by so many pixels at most, edges repeated."""

    flip: bool = False
    shift: int = 0

    def __call__(self, pixels: Pixels, key: int) -> Pixels:
        if self.flip and drawn(key, 1, FLIP)[0] < 0.5:
            pixels = pixels[:, ::-1]
        if self.shift:
            down, right = (drawn(key, 2, SHIFT) * (2 * self.shift + 1)).astype(np.int64)
            wide = np.pad(pixels, ((self.shift, self.shift), (self.shift, self.shift), (0, 0)), mode="edge")
            pixels = wide[down : down + len(pixels), right : right + pixels.shape[1]]
        return pixels


@dataclass(frozen=True, slots=True)
class PictureReader:
    """What a model reads of a picture. size: None where files hold features      width: numbers of a place, of these

    kept: pixels by the digest of their file, while there is room
    """

    column: str
    size: PictureSize | None
    width: int = 0
    kept: dict[bytes, Pixels] = field(default_factory=dict, repr=False, compare=False)

    @property
    def field(self) -> Field:
        return Field(self.column, "frames" if self.size is None else "image")

    @property
    def sizes(self) -> dict[str, int]:
        """What a model has to know of a picture."""
        if self.size is None:
            return {"features": self.width}
        return {"height": self.size.height, "width": self.size.width, "channels": self.size.channels}

    def read(self, record: Record) -> Shown:
        """The picture of a record, looked at as a whole.

        Raises DataError, with file and line, for what is none, is damaged, or has another width than in training.
        """
        value = field_of(record, self.column)
        if self.size is None:
            found = features_of(value, record.origin, self.column)
            if self.width and found.width != self.width:
                raise DataError(
                    f"{record.origin}: {found.name} has {found.width} numbers a place, training data had {self.width}."
                )
            found.read()
            return found
        picture = picture_of(value, record.origin, self.column)
        self.pixels(picture)
        return picture

    def pixels(self, picture: Picture) -> Pixels:
        """(H, W, C), decoded once while there is room to keep it."""
        assert self.size is not None
        found = self.kept.get(picture.digest)
        if found is None:
            found = pixels_of(picture, self.size)
            if not isinstance(picture.source, bytes) and (len(self.kept) + 1) * found.nbytes <= KEPT:
                self.kept[picture.digest] = found
        return found

    def inputs(
        self, shown: Sequence[Shown], draw: tuple[Moves, int, int] | None = None
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """What a model's inputs read of them, and steps of each (N,). draw: what training does, by seed and epoch"""
        if self.size is not None:
            made = [self._moved(one, draw) for one in shown if isinstance(one, Picture)]
            shape = (len(made), self.size.height, self.size.width, self.size.channels)
            pixels = torch.from_numpy(np.ascontiguousarray(np.stack(made)) if made else np.zeros(shape, np.uint8))
            return {"pixels": pixels}, torch.ones(len(made), dtype=torch.int64)
        rows = [one.read() for one in shown if isinstance(one, PictureFeatures)]
        features = np.zeros((max(map(len, rows), default=0), len(rows), self.width), np.float32)
        for n, row in enumerate(rows):
            features[: len(row), n] = row
        return {"features": torch.from_numpy(features)}, torch.tensor([len(row) for row in rows], dtype=torch.int64)

    def _moved(self, picture: Picture, draw: tuple[Moves, int, int] | None) -> Pixels:
        pixels = self.pixels(picture)
        if draw is None:
            return pixels
        moves, seed, epoch = draw
        return moves(pixels, key_of(seed, epoch, picture.digest))

    def grid(self, shown: Shown, places: int) -> tuple[int, int]:
        """Rows and columns of so many places of a picture, as a model has them; one row where nothing tells."""
        if isinstance(shown, PictureFeatures):
            return shown.grid if shown.grid[0] * shown.grid[1] == places else (1, places)
        assert self.size is not None
        height, width = self.size.height, self.size.width
        rows = round((places * height / width) ** 0.5)
        return (rows, places // rows) if rows and places % rows == 0 else (1, places)

    def small(self, shown: Shown) -> NDArray[np.float32]:
        """A vector of length 1 by which pictures are compared without any model: 16 x 16 pixels, or mean features."""
        if isinstance(shown, PictureFeatures):
            flat = shown.read().mean(0).astype(np.float64)
        else:
            flat = _smaller(self.pixels(shown)).ravel()
        found: NDArray[np.float32] = (flat / max(float(np.linalg.norm(flat)), 1e-12)).astype(np.float32)
        return found


def nearest(known: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each vector asked (N, D) the nearest known one (K, D), the first of equal ones; all have length 1."""
    return np.concatenate([(part @ known.T).argmax(1) for part in np.array_split(asked, max(len(asked) // 256, 1))])


def _smaller(pixels: Pixels) -> NDArray[np.float64]:
    """Each the mean of a block, darker than the middle below zero."""
    rows = np.array_split(np.arange(len(pixels)), min(SMALL, len(pixels)))
    columns = np.array_split(np.arange(pixels.shape[1]), min(SMALL, pixels.shape[1]))
    x = pixels.astype(np.float64) / 127.5 - 1.0
    x = np.stack([x[r].mean(0) for r in rows])
    return np.stack([x[:, c].mean(1) for c in columns], 1)
