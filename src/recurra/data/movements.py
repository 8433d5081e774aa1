"""What training does to a movement: turned, larger, faster, shaken; functions of (seed, epoch, series)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.data.draws import drawn, normals
from recurra.data.joints import Skeleton, at_times

Floats = NDArray[np.float64]
# What is drawn, each from numbers of its own.
TURN, AXIS, SIZE, WARP, SHAKE, PART = 40, 41, 42, 43, 44, 45
# Waves of a time warp: from one over the whole series on.
WAVES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Movement:
    """Rotation and scale of points, warped time, a cut, and noise: each of those that are not 0, drawn anew each epoch.

    Source: Um et al. 2017, arXiv:1706.00527, figure 2.
    """

    rotate: Annotated[
        float, Opt("points are turned by up to so many degrees either way; needs joints", ge=0, le=180)
    ] = 0.0
    axis: Annotated[
        Literal["x", "y", "z", "any"], Opt("around which; any: a direction that is drawn, of three coordinates")
    ] = "y"
    scale: Annotated[float, Opt("coordinates or numbers are larger or smaller by up to this share", ge=0, lt=1)] = 0.0
    warp: Annotated[float, Opt("time runs faster and slower by up to this share", ge=0, lt=1)] = 0.0
    crop: Annotated[float, Opt("up to this share of a series is cut off, from both ends together", ge=0, lt=1)] = 0.0
    jitter: Annotated[float, Opt("deviation of noise on each number that is read, in scaled units", ge=0, le=10)] = 0.0

    def __post_init__(self) -> None:
        if not (self.rotate or self.scale or self.warp or self.crop or self.jitter):
            raise ConfigError("augment: nothing is drawn; set rotate, scale, warp, crop or jitter, or leave it out.")
        if self.axis != "y" and not self.rotate:
            raise ConfigError("axis: has no effect without rotate; leave it out, or set rotate.")

    def problems(self, joints: Skeleton | None) -> list[str]:
        """Options that have no effect on what is read, a sentence each."""
        found = []
        if self.rotate and joints is None:
            found.append("augment.rotate: needs points; set task.joints, or leave it out.")
        if self.axis != "y" and joints is not None and joints.axes == 2:
            found.append("augment.axis: points of two coordinates turn in their plane; leave it out.")
        if self.scale and joints is not None and joints.scale == "body":
            found.append("augment.scale: has no effect with task.joints.scale: body, which undoes it; leave it out.")
        return found

    def raw(self, raw: NDArray[Any], joints: Skeleton | None, key: int) -> Floats:
        """Frames (T, numbers) as the file could have had them: turned, of another size, at another pace."""
        moved = raw.astype(np.float64)
        if self.rotate and joints is not None:
            moved = self._turned(moved, joints, key)
        if self.scale:
            factor = 1 + self.scale * (2 * float(drawn(key, 1, SIZE)[0]) - 1)
            moved = scaled(moved, joints, factor)
        if self.crop and len(moved) > 2:
            moved = moved[self._kept(len(moved), key)]
        return at_times(moved, self.times(len(moved), key)) if self.warp and len(moved) > 2 else moved

    def read(self, values: NDArray[Any], number: int, key: int) -> NDArray[np.float32]:
        """Values (T, width) as the model reads them, with noise on the first `number` of each step.

        Behind these may stand as many marks, 0 where a number is missing: it stays as it is.
        """
        if not self.jitter or not len(values):
            return values.astype(np.float32)
        noise = self.jitter * normals(key, len(values) * number, SHAKE).reshape(len(values), number)
        found = values.astype(np.float32)
        marks = found[:, number:] if found.shape[1] > number else np.float32(1)
        found[:, :number] += noise.astype(np.float32) * marks
        return found

    def times(self, length: int, key: int) -> Floats:
        """When each frame is read, from 0 to the last: t plus waves whose slope is at most `warp`."""
        u = drawn(key, WAVES, WARP)
        t = np.linspace(0.0, 1.0, length)
        waves = np.arange(1, WAVES + 1)
        bends = ((2 * u - 1) / WAVES) * np.sin(np.pi * np.outer(t, waves)) / (np.pi * waves)
        return np.asarray(np.clip(t + self.warp * bends.sum(1), 0.0, 1.0) * (length - 1))

    def _kept(self, length: int, key: int) -> slice:
        share, place = drawn(key, 2, PART)
        lost = min(int(self.crop * share * length), length - 2)
        first = int(place * (lost + 1))
        return slice(first, first + length - lost)

    def _turned(self, raw: Floats, joints: Skeleton, key: int) -> Floats:
        angle = np.deg2rad(self.rotate) * (2 * float(drawn(key, 1, TURN)[0]) - 1)
        turn = plane_rotation(angle) if joints.axes == 2 else rotation(self._axis(key), angle)
        each = raw.reshape(len(raw), -1, len(joints.numbers)).copy()
        each[..., : joints.axes] = each[..., : joints.axes] @ turn.T
        return np.asarray(each.reshape(len(raw), -1))

    def _axis(self, key: int) -> Floats:
        if self.axis != "any":
            return np.asarray(np.eye(3)["xyz".index(self.axis)])
        drawn_axis = normals(key, 3, AXIS)
        return np.asarray(drawn_axis / max(float(np.linalg.norm(drawn_axis)), 1e-12))


def scaled(raw: Floats, joints: Skeleton | None, factor: float) -> Floats:
    """Numbers times a factor; of joints, confidences stay."""
    if joints is None:
        return np.asarray(raw * factor)
    each = raw.reshape(len(raw), -1, len(joints.numbers)).copy()
    each[..., : joints.axes] *= factor
    return np.asarray(each.reshape(len(raw), -1))


def rotation(axis: Floats, angle: float) -> Floats:
    """(3, 3): the rotation around a unit vector, by Rodrigues' formula: I + sin a K + (1 - cos a) K^2."""
    x, y, z = axis
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K))


def plane_rotation(angle: float) -> Floats:
    """(2, 2): the rotation of a plane."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


AUGMENTATIONS: Registry[type[Movement]] = Registry("augmentation")
AUGMENTATIONS.add("movement", Movement)
