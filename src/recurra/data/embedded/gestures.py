"""Which gesture is it? Joints of people who were made up, frame by frame: each of another size, pace, place and facing.

Six of the gestures are pairs, one the other run backwards, and all begin and end with the arm at rest, so that the
order of the frames decides. Now and then the camera loses a hand, and its cells are empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from random import Random

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet

Point = tuple[float, float, float]
PEOPLE, TIMES = 12, 3
JOINTS = ("head", "neck", "hip", "right_shoulder", "right_elbow", "right_hand", "left_elbow", "left_hand")
COORDINATES = tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")
# The share of frames in which the right hand is lost.
LOST = 0.04
# Where the hand rests, and the share of the frames in which it goes there, and comes from there.
REST, IDLE = (0.05, -0.95, 0.1), 0.25


def _smooth(t: float) -> float:
    return t * t * (3 - 2 * t)


# Where the right hand is, from the shoulder in lengths of the arm, at times from 0 to 1: x to the right, y up, z ahead.
PATHS: dict[str, Callable[[float], Point]] = {
    "wave": lambda t: (0.25 + 0.3 * math.sin(6 * math.pi * t), 0.85, 0.2),
    "raise": lambda t: (0.15, -0.9 + 1.8 * _smooth(t), 0.2),
    "lower": lambda t: (0.15, 0.9 - 1.8 * _smooth(t), 0.2),
    "push": lambda t: (0.1, 0.05, 0.3 + 0.6 * _smooth(t)),
    "pull": lambda t: (0.1, 0.05, 0.9 - 0.6 * _smooth(t)),
    "swipe_left": lambda t: (0.65 - 1.2 * _smooth(t), 0.1, 0.6),
    "swipe_right": lambda t: (-0.55 + 1.2 * _smooth(t), 0.1, 0.6),
    "circle": lambda t: (0.2 + 0.45 * math.cos(2 * math.pi * t), 0.45 * math.sin(2 * math.pi * t), 0.55),
}


def _hand(path: Callable[[float], Point], t: float) -> Point:
    """Where the hand is at a time from 0 to 1: at rest, on the path, at rest again."""
    inside = min(max((t - IDLE) / (1 - 2 * IDLE), 0.0), 1.0)
    share = _smooth(min(t, 1 - t, IDLE) / IDLE)
    x, y, z = (share * a + (1 - share) * b for a, b in zip(path(inside), REST, strict=True))
    return x, y, z


def _body(hand: Point) -> list[Point]:
    """JOINTS of a body of shoulder height 1, whose right hand is there."""
    shoulder, left = (0.2, 1.0, 0.0), (-0.2, 1.0, 0.0)
    reach: Point = (shoulder[0] + 0.6 * hand[0], shoulder[1] + 0.6 * hand[1], shoulder[2] + 0.6 * hand[2])
    middle = [(a + b) / 2 for a, b in zip(shoulder, reach, strict=True)]
    bend = math.sqrt(max(0.0, 0.09 - sum((a - b) ** 2 for a, b in zip(shoulder, reach, strict=True)) / 4))
    elbow: Point = (middle[0] + bend / 2, middle[1] - bend, middle[2])
    rest: tuple[Point, Point] = ((left[0] - 0.03, 0.7, 0.0), (left[0] - 0.03, 0.42, 0.05))
    return [(0.0, 1.25, 0.05), (0.0, 1.05, 0.0), (0.0, 0.45, 0.0), shoulder, elbow, reach, *rest]


@cache
def _rows() -> tuple[dict[str, str], ...]:
    """A frame each, of all recordings."""
    rng = Random(2026)  # noqa: S311 no secret, but the same gestures everywhere
    found: list[dict[str, str]] = []
    for person in range(1, PEOPLE + 1):
        size, pace, facing = rng.uniform(0.75, 1.3), rng.uniform(22, 40), rng.uniform(-1.0, 1.0)
        for gesture, path in PATHS.items():
            for time in range(1, TIMES + 1):
                name = f"p{person:02d}_{gesture}_{time}"
                about = {"recording": name, "person": f"p{person:02d}", "gesture": gesture}
                frames = round(pace * rng.uniform(0.85, 1.2))
                place = (rng.uniform(-1, 1), rng.uniform(-0.1, 0.1), rng.uniform(2, 4))
                turn = facing + rng.uniform(-0.15, 0.15)
                for frame in range(frames):
                    body = _body(_hand(path, frame / (frames - 1)))
                    cells = _cells(rng, body, size=size, turn=turn, place=place)
                    found.append({**about, "frame": str(frame), **cells})
    return tuple(found)


def _cells(rng: Random, body: list[Point], *, size: float, turn: float, place: Point) -> dict[str, str]:
    """The body as a camera sees it: of its size, turned around the vertical axis, somewhere, not quite sure."""
    c, s, cells = math.cos(turn), math.sin(turn), []
    for x, y, z in body:
        seen = (c * x + s * z, y, -s * x + c * z)
        cells += [f"{size * a + b + rng.gauss(0, 0.015):.3f}" for a, b in zip(seen, place, strict=True)]
    found = dict(zip(COORDINATES, cells, strict=True))
    if rng.random() < LOST:
        found |= dict.fromkeys(("right_hand_x", "right_hand_y", "right_hand_z"), "")
    return found


def _records(split: str) -> Iterator[Record]:
    for number, fields in enumerate(_rows(), start=1):
        yield Record(fields, Origin(f"gestures/{split}", number))


GESTURES_SET = EmbeddedSet(
    description="which gesture is it? joints of twelve people, frame by frame, made up",
    licence="made up for recurra, Apache-2.0",
    columns=("recording", "person", "frame", "gesture", *COORDINATES),
    splits=("train",),
    load=_records,
    size=lambda split: len(_rows()),
)
