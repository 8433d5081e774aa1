"""Joints of a body, a hand or a face, frame by frame, to numbers that say less of the camera and more of the movement.

A frame is the numbers of all joints side by side: x, y, perhaps z, perhaps how sure the camera was. Relative to a root
and in sizes of the body they are the same wherever somebody stands, and however tall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError
from recurra.base.option import Opt
from recurra.base.registry import Registry

Floats = NDArray[np.float64]
AXES = "xyz"
# A body that is smaller, in the units of the file, is taken as one point and is not divided by its size.
LEAST_SIZE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """Joints (T, J, coordinates), filled in, relative to a root, in sizes of the body, with velocities beside."""

    numbers: Annotated[
        Literal["xy", "xyz", "xyc", "xyzc"],
        Opt("what a joint has in each frame, side by side; c: confidence or visibility, which is read as it is"),
    ] = "xyz"
    root: Annotated[
        int | tuple[int, ...] | None,
        Opt("joint, from 0, that coordinates are relative to, or several: their middle; null: as they are", ge=0),
    ] = None
    origin: Annotated[
        Literal["frame", "start"],
        Opt("root of each frame, so that the way through the room is not seen; or of the first frame"),
    ] = "frame"
    scale: Annotated[
        Literal["none", "body"],
        Opt("body: by the distance of joints from the root, or from their middle, over all frames of a series"),
    ] = "none"
    velocity: Annotated[bool, Opt("the change of each coordinate since the last frame is read too")] = False
    zeros: Annotated[
        Literal["keep", "missing"], Opt("a joint whose coordinates are all 0; missing: the camera lost it")
    ] = "keep"
    gaps: Annotated[
        Literal["keep", "fill"],
        Opt("missing joints; fill: on the straight line between the frames around, at the ends as in the nearest"),
    ] = "keep"
    frames: Annotated[
        int | None, Opt("every series is read as so many frames, evenly apart; null: as they are", ge=2, le=100_000)
    ] = None
    smooth: Annotated[
        int | None,
        Opt(
            "places are means of so many frames around each, an odd number; ends are repeated; null: none", ge=3, le=999
        ),
    ] = None
    pairs: Annotated[
        tuple[tuple[int, int], ...],
        Opt("pairs of joints, from 0: where the first one is, seen from the second, is read too", ge=0),
    ] = ()

    def __post_init__(self) -> None:
        roots = self.roots
        if self.smooth is not None and self.smooth % 2 == 0:
            raise ConfigError(f"smooth: expected an odd number, so that a frame is in the middle, got {self.smooth}.")
        for pair in self.pairs:
            if pair[0] == pair[1]:
                raise ConfigError(f"pairs: expected two different joints, got {list(pair)}.")
            if self.pairs.count(pair) > 1:
                raise ConfigError(f"pairs: {list(pair)} is there more than once; leave it out.")
        if len(set(roots)) < len(roots) or (self.root is not None and not roots):
            raise ConfigError(f"root: expected a joint, or different ones, got {list(roots)}.")
        if self.origin == "start" and not roots:
            raise ConfigError("origin: has no effect without root; leave it out, or name a root.")

    @property
    def roots(self) -> tuple[int, ...]:
        """The joints whose middle is the root."""
        return () if self.root is None else (self.root,) if isinstance(self.root, int) else self.root

    @property
    def axes(self) -> int:
        """Coordinates of a joint."""
        return len(self.numbers.removesuffix("c"))

    @property
    def sure(self) -> bool:
        """Whether a joint has its confidence beside."""
        return self.numbers.endswith("c")

    def joints_of(self, width: int, where: object) -> int:
        """How many joints a frame of so many numbers has. Raises DataError if it cannot be."""
        each = len(self.numbers)
        if width % each or not width:
            raise DataError(
                f"{where}: has {width} numbers a frame, expected a multiple of {each}: {', '.join(self.numbers)} of "
                "each joint (task.joints.numbers)."
            )
        joints = width // each
        named = {"root": self.roots, "pairs": [joint for pair in self.pairs for joint in pair]}
        for option, found in named.items():
            if (far := max(found, default=0)) >= joints:
                raise DataError(
                    f"{where}: has {joints} joints, so task.joints.{option} is at most {joints - 1}, got {far}."
                )
        return joints

    def width_of(self, width: int) -> int:
        """How many numbers a frame of so many has when it is read."""
        joints = width // len(self.numbers)
        return joints * (self.axes * (1 + self.velocity) + self.sure) + len(self.pairs) * self.axes

    def written(self, width: int) -> int:
        """The inverse of `width_of`."""
        own = width - len(self.pairs) * self.axes
        return own // (self.axes * (1 + self.velocity) + self.sure) * len(self.numbers)

    def split(self, raw: NDArray[Any]) -> tuple[Floats, Floats]:
        """Places (T, J, axes), NaN where a joint is missing, and confidences (T, J, 0 or 1), of frames (T, numbers)."""
        each = raw.reshape(len(raw), -1, len(self.numbers)).astype(np.float64)
        places, sure = each[..., : self.axes], each[..., self.axes :]
        gone = np.asarray(np.isnan(places).any(2))
        if self.zeros == "missing":
            gone = gone | (places == 0).all(2)
        return np.where(gone[..., None], np.nan, places), sure

    def joined(self, places: Floats, sure: Floats) -> Floats:
        """(T, numbers): the inverse of `split`."""
        return np.concatenate([places, sure], axis=2).reshape(len(places), -1)

    def __call__(self, raw: NDArray[Any]) -> Floats:
        """(T, `width_of`) of frames (T, numbers): the coordinates of all joints, confidences, velocities, pairs."""
        places, sure = self.split(raw)
        if self.gaps == "fill":
            places = filled(places)
        if self.frames is not None and len(raw):
            places, sure = resampled(places, self.frames), resampled(sure, self.frames)
        if self.smooth is not None and len(places):
            places = smoothed(places, self.smooth)
        places = self._relative(places)
        if self.scale == "body":
            places = places / body_size(places, self.roots)
        first, second = (np.array([pair[k] for pair in self.pairs], np.int64) for k in (0, 1))
        seen = places[:, first] - places[:, second]
        parts = [places, sure, *([velocity(places)] if self.velocity else []), seen]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def _relative(self, places: Floats) -> Floats:
        if not self.roots or not len(places):
            return places
        root = places[:, list(self.roots)].mean(1, keepdims=True)
        if self.origin == "start":  # the first frame in which it is seen
            seen = np.flatnonzero(~np.isnan(root).any((1, 2)))
            root = root[seen[:1]] if len(seen) else root[:1]
        moved: Floats = places - root
        return moved

    def names(self, width: int) -> tuple[str, ...]:
        """What the numbers that are read are called, of frames of so many numbers."""
        joints, axes = range(width // len(self.numbers)), AXES[: self.axes]
        sure = [f"joint {j} confidence" for j in joints if self.sure]
        moves = [f"joint {j} {axis} velocity" for j in joints for axis in axes if self.velocity]
        seen = [f"joint {a} {axis} from joint {b}" for a, b in self.pairs for axis in axes]
        return (*(f"joint {j} {axis}" for j in joints for axis in axes), *sure, *moves, *seen)

    def missing_joint(self, raw: NDArray[Any]) -> tuple[int, int] | None:
        """The frame and the joint of the first one that stays missing; None where none does."""
        places, _ = self.split(raw)
        gone = np.isnan(filled(places) if self.gaps == "fill" else places).any(2)
        found = np.argwhere(gone)
        return (int(found[0, 0]), int(found[0, 1])) if len(found) else None

    def to_json(self) -> dict[str, Any]:
        """Its options."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Skeleton:
        """The inverse of `to_json`. Raises TypeError or ValueError for anything else."""
        root, pairs = data.get("root"), tuple((int(a), int(b)) for a, b in data.get("pairs", ()))
        return cls(**{**data, "root": tuple(root) if isinstance(root, list) else root, "pairs": pairs})


def filled(places: Floats) -> Floats:
    """(T, J, axes) with missing joints on the line between the frames around; one that is never there stays so."""
    found = places.copy()
    times = np.arange(len(places))
    for joint in np.flatnonzero(np.isnan(places).any((0, 2))).tolist():
        there = ~np.isnan(places[:, joint]).any(1)
        if there.any():
            for axis in range(places.shape[2]):
                found[:, joint, axis] = np.interp(times, times[there], places[there, joint, axis])
    return found


def smoothed(places: Floats, frames: int) -> Floats:
    """(T, J, axes): the mean of what is there in so many frames around each; a missing joint stays so.

    frames: odd. The first frame and the last one are repeated beyond the ends.
    """
    there = ~np.isnan(places)
    values, times = np.where(there, places, 0.0), np.arange(len(places))
    sums, counts = np.zeros_like(places), np.zeros(places.shape, np.int64)
    for apart in range(-(frames // 2), frames // 2 + 1):
        at = np.clip(times + apart, 0, len(places) - 1)
        sums += values[at]
        counts += there[at]
    return np.where(there, sums / np.maximum(counts, 1), np.nan)


def resampled(values: Floats, frames: int) -> Floats:
    """(frames, ...) of (T, ...): at evenly spaced times from the first frame to the last, on straight lines."""
    return at_times(values, np.linspace(0.0, max(len(values) - 1, 0), frames))


def at_times(values: Floats, times: Floats) -> Floats:
    """Values (T, ...) at times that may lie between two frames; NaN beside a missing one."""
    if len(values) < 2:
        return np.repeat(values, len(times), axis=0)
    low = np.minimum(times.astype(np.int64), len(values) - 2)
    share = (times - low).reshape(-1, *[1] * (values.ndim - 1))
    between: Floats = np.where(share == 0, values[low], (1 - share) * values[low] + share * values[low + 1])
    return np.where(share == 1, values[low + 1], between)


def body_size(places: Floats, roots: tuple[int, ...]) -> float:
    """The median over frames of the root mean square distance of joints from the root, or from their middle.

    1 where it cannot be told. places: (T, J, axes), relative where there are roots
    """
    here = places[~np.isnan(places).all((1, 2))]
    if not len(here):
        return 1.0
    middle = here[:, list(roots)].mean(1, keepdims=True) if roots else np.nanmean(here, axis=1, keepdims=True)
    squares = ((here - middle) ** 2).sum(2)
    squares = squares[~np.isnan(squares).all(1)]
    size = float(np.median(np.sqrt(np.nanmean(squares, axis=1)))) if len(squares) else 1.0
    return size if size > LEAST_SIZE else 1.0


def velocity(places: Floats) -> Floats:
    """x_t - x_(t-1), 0 in the first frame; NaN where either is missing."""
    found = np.zeros_like(places)
    found[1:] = np.diff(places, axis=0)
    return found


JOINTS: Registry[type[Skeleton]] = Registry("joints")
JOINTS.add("skeleton", Skeleton)
