"""BVH: angles of a skeleton to places of joints, and files that are none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from recurra.base.errors import DataError
from recurra.data.formats import read
from recurra.data.formats.bvh import places_of

ARM = """HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT elbow
  {
    OFFSET 2 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT hand
    {
      OFFSET 1 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0.5 0 0
      }
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.033
0 0 0 0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 90 0 0 0 0 0
0 0 0 30 40 50 0 60 70 0 0 0
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "arm.bvh"
    file.write_text(text)
    return file


def test_places_follow_from_angles_by_hand(tmp_path: Path) -> None:
    rest, bent, _ = places_of(written(tmp_path, ARM)).reshape(3, 3, 3)
    np.testing.assert_allclose(rest, [[0, 0, 0], [2, 0, 0], [3, 0, 0]], atol=1e-15)
    # Turned left by 90 degrees the upper arm points up, and by 90 more the lower arm back.
    np.testing.assert_allclose(bent, [[1, 2, 3], [1, 4, 3], [0, 4, 3]], atol=1e-15)


def test_angles_are_applied_in_the_order_of_the_channels(tmp_path: Path) -> None:
    def turn(axis: str, degrees: float, v: list[float]) -> list[float]:
        c, s, (x, y, z) = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), v
        return {"x": [x, c * y - s * z, s * y + c * z], "y": [c * x + s * z, y, -s * x + c * z]}.get(
            axis, [c * x - s * y, s * x + c * y, z]
        )

    def hip(v: list[float]) -> list[float]:
        return turn("z", 30, turn("x", 40, turn("y", 50, v)))

    elbow = hip([2, 0, 0])
    hand = hip(turn("x", 60, turn("y", 70, [1, 0, 0])))
    found = places_of(written(tmp_path, ARM)).reshape(3, 3, 3)[2]
    np.testing.assert_allclose(found[1], elbow, atol=1e-14)
    np.testing.assert_allclose(found[2], [a + b for a, b in zip(elbow, hand, strict=True)], atol=1e-14)


def test_folders_are_classes(tmp_path: Path) -> None:
    for label in ("wave", "point"):
        (tmp_path / label).mkdir()
        written(tmp_path / label, ARM)
    rows = list(read(tmp_path))
    assert [row.fields["label"] for row in rows] == ["point", "wave"]
    assert np.shape(rows[0].fields["values"]) == (3, 9)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Frames: 3", "Frames: 4", "has 3 frames, and its header says 4; is it cut off"),
        ("Frames: 3", "Frames: 0", "arm.bvh:22: has 0 frames"),
        ("1 2 3 90", "1 2 x 90", "arm.bvh:25: expected 12 numbers, got '1 2 x 90"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "arm.bvh:9: expected CHANNELS, how many"),
        ("OFFSET 2 0 0", "OFFSET 2 0", "arm.bvh:8: expected 3 numbers"),
        ("HIERARCHY", "SKELETON", "arm.bvh:1: expected ROOT, JOINT, OFFSET, CHANNELS or MOTION, got 'SKELETON'"),
        ("}\nMOTION", "MOTION", "MOTION stands before the skeleton is closed"),
        ("Frames: 3", "Frames: 99999999", "has 99,999,999 frames of 12 numbers"),
        ("Frames: 3", "Frames: 2", "has more frames, and its header says 2"),
        ("Frames: 3", "Frames: ²", "arm.bvh:22: expected 'Frames: N' behind MOTION"),
        ("Frames: 3", f"Frames: {'1' * 5000}", "arm.bvh:22: expected 'Frames: N' behind MOTION"),
        ("1 2 3 90", "1 2 nan 90", "arm.bvh:25: expected 12 numbers, got '1 2 nan 90"),
        ("OFFSET 2 0 0", "OFFSET 1e999 0 0", "arm.bvh:8: expected 3 numbers"),
    ],
)
def test_what_is_no_motion_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        places_of(written(tmp_path, ARM.replace(old, new, 1)))
    assert said in str(caught.value)


def test_half_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no MOTION, so it is no BVH file, or is cut off"):
        places_of(written(tmp_path, ARM[:120]))


def test_places_are_bounded_before_they_are_made(tmp_path: Path) -> None:
    limbs = "JOINT limb\n{\nOFFSET 1 0 0\nCHANNELS 0\n}\n" * 500
    text = f"HIERARCHY\nROOT hip\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xposition\n{limbs}}}\nMOTION\nFrames: 20000\n"
    with pytest.raises(DataError, match=r"has 20,000 frames of 1 numbers for 501 joints"):
        places_of(written(tmp_path, text))
