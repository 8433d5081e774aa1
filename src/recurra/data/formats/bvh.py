"""Motion capture in BVH (Biovision): angles of a skeleton, frame by frame, as the places of its joints.

The angles are turned into places: (frames, 3 x joints), x, y and z of each joint in the file's order and units;
ends without a joint (`End Site`) are left out. A joint's angles are applied in the order of its channels, as
R = R_1 R_2 R_3, and its place is that of its parent plus the parent's rotation of its offset; where a joint has
position channels they stand in the place of the offset.
Source: Meredith & Maddock 2001, "Motion Capture File Formats Explained", section 3.1.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.base.errors import DataError
from recurra.data.formats.by_class import by_class
from recurra.data.formats.lines import open_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".bvh",)
# Bytes of a file, joints of a skeleton, and numbers of all frames: those of the file, and places of joints.
MOST_BYTES, MOST_JOINTS, MOST_NUMBERS = 256 * 2**20, 1_000, 20_000_000
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,18}")


@dataclass(slots=True)
class Joint:
    """parent: its place in the list, -1 for the root      channels: axis (0..2) and whether it turns, in order"""

    name: str
    parent: int
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    channels: list[tuple[int, bool]] = field(default_factory=list)


def places_of(file: Path) -> NDArray[Any]:
    """(T, 3 J) float64. Raises DataError, with file and line, for what is no BVH or is cut off."""
    with open_bytes(file) as content:
        read = content.read(MOST_BYTES + 1)
    if len(read) > MOST_BYTES:
        raise DataError(f"{file}: is larger than {MOST_BYTES // 2**20} MiB, the limit of a BVH file.")
    rows = _rows(read)
    joints = _hierarchy(file, rows)
    return _places(joints, _motion(file, rows, sum(len(one.channels) for one in joints), len(joints)))


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Lines with a word, by number; as words one at a time, which take many times the room of their bytes."""
    for number, line in enumerate(content.splitlines(), 1):
        if words := line.decode("utf-8", "replace").split():
            yield number, words


def _hierarchy(file: Path, rows: Iterator[tuple[int, list[str]]]) -> list[Joint]:
    """The joints, each behind its parent; `rows` then stand behind MOTION."""
    joints: list[Joint] = []
    open_ones: list[int] = []  # those whose brackets are open; -1 of an end without a joint
    for number, words in rows:
        word = words[0].upper()
        if word == "MOTION":
            if not joints or open_ones:
                raise DataError(f"{file}:{number}: MOTION stands before the skeleton is closed; expected '}}' first.")
            return joints
        if word in ("ROOT", "JOINT"):
            if len(joints) == MOST_JOINTS:
                raise DataError(f"{file}:{number}: has more than {MOST_JOINTS:,} joints, the limit.")
            joints.append(Joint(" ".join(words[1:]), open_ones[-1] if open_ones else -1))
            open_ones.append(len(joints) - 1)
        elif word == "END":
            open_ones.append(-1)
        elif word == "}":
            if not open_ones:
                raise DataError(f"{file}:{number}: closes a bracket that is not open.")
            open_ones.pop()
        elif word == "OFFSET" and open_ones and open_ones[-1] >= 0:
            joints[open_ones[-1]].offset = _numbers(file, number, words[1:], 3)
        elif word == "CHANNELS" and open_ones and open_ones[-1] >= 0:
            joints[open_ones[-1]].channels = _channels(file, number, words)
        elif word not in ("HIERARCHY", "{", "OFFSET"):
            raise DataError(
                f"{file}:{number}: expected ROOT, JOINT, OFFSET, CHANNELS or MOTION, got '{words[0][:40]}'."
            )
    raise DataError(f"{file}: has no MOTION, so it is no BVH file, or is cut off.")


def _channels(file: Path, number: int, words: list[str]) -> list[tuple[int, bool]]:
    found = [_CHANNEL.fullmatch(word) for word in words[2:]]
    if len(words) < 2 or words[1] != str(len(found)) or not all(found):
        raise DataError(f"{file}:{number}: expected CHANNELS, how many, and Xposition to Zrotation for each.")
    return [("XYZ".index(one[1].upper()), one[2].lower() == "rotation") for one in found if one]


def _motion(file: Path, rows: Iterator[tuple[int, list[str]]], width: int, joints: int) -> NDArray[Any]:
    """(T, channels) of the frames. Raises DataError where one is cut off, some are missing, or there are too many."""
    import numpy as np

    number, words = next(rows, (0, ["nothing"]))
    if words[0].upper() != "FRAMES:" or len(words) != 2 or not _COUNT.fullmatch(words[1]):
        raise DataError(f"{file}:{number}: expected 'Frames: N' behind MOTION, got '{' '.join(words)[:40]}'.")
    frames = int(words[1])
    if not frames or frames * max(width, 3 * joints) > MOST_NUMBERS:
        raise DataError(
            f"{file}:{number}: has {frames:,} frames of {width} numbers for {joints:,} joints, expected one and "
            f"{MOST_NUMBERS:,} numbers at most, of the file or of places. Cut the file."
        )
    next(rows, None)  # Frame Time
    found, there = array("d"), 0
    for number, words in islice(rows, frames + 1):
        found.extend(_numbers(file, number, words, width))
        there += 1
    if there != frames:
        has = f"{there:,} frames" if there < frames else "more frames"
        raise DataError(f"{file}: has {has}, and its header says {frames:,}; is it cut off?")
    return np.frombuffer(found, np.float64).reshape(frames, width)


def _numbers(file: Path, number: int, words: list[str], count: int) -> list[float]:
    try:
        found = [float(word) for word in words]
    except ValueError:
        found = []
    if len(found) != count or not all(map(math.isfinite, found)):
        raise DataError(f"{file}:{number}: expected {count} numbers, got '{' '.join(words)[:60]}'.")
    return found


def _places(joints: list[Joint], motion: NDArray[Any]) -> NDArray[Any]:
    """Forward kinematics: (T, 3 J) of channels (T, C)."""
    import numpy as np

    frames = len(motion)
    places, turns = np.zeros((len(joints), frames, 3)), np.zeros((len(joints), frames, 3, 3))
    column = 0
    for j, joint in enumerate(joints):
        at, turn = np.tile(np.array(joint.offset), (frames, 1)), np.tile(np.eye(3), (frames, 1, 1))
        if any(not turns_ for _, turns_ in joint.channels):
            at[:] = 0.0
        for axis, turns_ in joint.channels:
            if turns_:
                turn = turn @ _around(axis, np.deg2rad(motion[:, column]))
            else:
                at[:, axis] = motion[:, column]
            column += 1
        if joint.parent >= 0:
            at = places[joint.parent] + np.einsum("tij,tj->ti", turns[joint.parent], at)
            turn = turns[joint.parent] @ turn
        places[j], turns[j] = at, turn
    return np.ascontiguousarray(places.transpose(1, 0, 2)).reshape(frames, -1)


def _around(axis: int, angles: NDArray[Any]) -> NDArray[Any]:
    """(T, 3, 3): rotations around a coordinate axis, by the right hand."""
    import numpy as np

    found = np.zeros((len(angles), 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    found[:, axis, axis] = 1.0
    found[:, a, a] = found[:, b, b] = np.cos(angles)
    found[:, a, b], found[:, b, a] = -np.sin(angles), np.sin(angles)
    return found


BVH = by_class(
    "motion capture as places of joints: a folder of .bvh by class, or one file",
    "motions",
    "values",
    SUFFIXES,
    places_of,
)
