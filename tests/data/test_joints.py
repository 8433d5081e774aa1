"""Joints: relative, in sizes of the body, filled in, with velocities; and what training does to movements."""

from __future__ import annotations

import json

import numpy as np
import pytest

from oracles import joints as oracle
from recurra.base.errors import ConfigError, DataError
from recurra.data.joints import Skeleton, at_times, body_size, resampled
from recurra.data.movements import Movement, rotation

NAN = float("nan")


@pytest.fixture
def frames() -> np.ndarray:
    """(7, 5, 3) places of five joints."""
    return np.random.default_rng(3).normal(size=(7, 5, 3))


def flat(frames: np.ndarray) -> np.ndarray:
    return frames.reshape(len(frames), -1)


def test_coordinates_are_relative_to_the_middle_of_the_roots_in_sizes_of_the_body(frames: np.ndarray) -> None:
    expected = np.array(oracle.relative(frames.tolist(), (1, 4)))
    found = Skeleton(root=(1, 4))(flat(frames))
    np.testing.assert_allclose(found, flat(expected), atol=1e-14)
    sized = Skeleton(root=(1, 4), scale="body")(flat(frames))
    np.testing.assert_allclose(sized, flat(expected) / oracle.size(expected.tolist()), atol=1e-13)


def test_who_stands_elsewhere_and_is_taller_reads_the_same(frames: np.ndarray) -> None:
    skeleton = Skeleton(root=0, scale="body", velocity=True)
    np.testing.assert_allclose(skeleton(flat(2.5 * frames + 7.0)), skeleton(flat(frames)), atol=1e-12)
    away = frames + np.arange(7)[:, None, None]
    kept = Skeleton(root=0, origin="start")
    assert np.abs(kept(flat(away)) - kept(flat(frames))).max() == pytest.approx(6.0)  # the way through the room


def test_the_first_frame_is_the_first_in_which_the_root_is_seen(frames: np.ndarray) -> None:
    frames[:2, 0] = NAN
    found = Skeleton(root=0, origin="start", gaps="mask")(flat(frames))
    np.testing.assert_allclose(found, flat(frames - frames[2, 0]), atol=1e-14)


def test_confidences_stay_beside_and_velocities_are_differences(frames: np.ndarray) -> None:
    sure = np.random.default_rng(4).uniform(size=(7, 5, 1))
    skeleton = Skeleton(numbers="xyzc", root=2, velocity=True)
    raw = flat(np.concatenate([frames, sure], axis=2))
    found, relative = skeleton(raw), frames - frames[:, 2:3]
    assert found.shape == (7, skeleton.width_of(20))
    assert skeleton.written(skeleton.width_of(20)) == 20
    np.testing.assert_array_equal(found[:, :15], flat(relative))
    np.testing.assert_array_equal(found[:, 15:20], sure[..., 0])
    np.testing.assert_allclose(found[1:, 20:], np.diff(flat(relative), axis=0), atol=1e-15)
    assert not found[0, 20:].any()
    assert len(skeleton.names(20)) == 35
    assert skeleton.names(20)[3] == "joint 1 x"


def test_missing_joints_lie_on_the_line_between_the_frames_around() -> None:
    path = np.array([[0.0, 0.0], [NAN, 1.0], [NAN, NAN], [6.0, 3.0], [0.0, 0.0]])
    found = Skeleton(numbers="xy", gaps="fill")(path)
    np.testing.assert_allclose(found[:, 0], [0, 2, 4, 6, 0])  # one coordinate alone is no place
    np.testing.assert_allclose(found[:, 1], [0, 1, 2, 3, 0])
    lost = Skeleton(numbers="xy", gaps="fill", zeros="missing")(path)
    np.testing.assert_allclose(lost, [[6, 3]] * 5)
    assert Skeleton(numbers="xy").missing_joint(path) == (1, 0)
    assert Skeleton(numbers="xy", gaps="fill").missing_joint(path) is None
    assert Skeleton(numbers="xy", gaps="fill").missing_joint(np.full((3, 2), NAN)) == (0, 0)


def test_frames_are_read_evenly_apart(frames: np.ndarray) -> None:
    found = resampled(frames, 13)
    np.testing.assert_allclose(found[::2], frames, atol=1e-15)
    np.testing.assert_allclose(found[1::2], (frames[1:] + frames[:-1]) / 2, atol=1e-15)
    assert Skeleton(frames=4)(flat(frames)).shape == (4, 15)
    np.testing.assert_array_equal(at_times(frames[:1], np.zeros(3)), np.repeat(frames[:1], 3, axis=0))


def test_a_joint_is_seen_from_another_one(frames: np.ndarray) -> None:
    skeleton = Skeleton(root=0, scale="body", velocity=True, pairs=((4, 1), (1, 3)))
    found, size = skeleton(flat(frames)), oracle.size(oracle.relative(frames.tolist(), (0,)))
    assert found.shape == (7, skeleton.width_of(15)) == (7, 36)
    assert skeleton.written(36) == 15
    np.testing.assert_allclose(found[:, 30:33], (frames[:, 4] - frames[:, 1]) / size, atol=1e-13)
    np.testing.assert_allclose(found[:, 33:], (frames[:, 1] - frames[:, 3]) / size, atol=1e-13)
    np.testing.assert_array_equal(found[:, :30], Skeleton(root=0, scale="body", velocity=True)(flat(frames)))
    assert skeleton.names(15)[30:32] == ("joint 4 x from joint 1", "joint 4 y from joint 1")
    assert len(skeleton.names(15)) == 36
    assert Skeleton.from_json(json.loads(json.dumps(skeleton.to_json()))) == skeleton
    frames[2, 1] = NAN
    assert np.isnan(Skeleton(pairs=((4, 1),))(flat(frames))[:, 15:]).all(1).tolist() == [k == 2 for k in range(7)]


def test_a_smooth_place_is_the_mean_of_the_frames_around(frames: np.ndarray) -> None:
    path = np.array([[0.0, 0.0], [3.0, 9.0], [6.0, 0.0], [NAN, 6.0], [9.0, 6.0]])
    found = Skeleton(numbers="xy", smooth=3)(path)
    expected = [[1, 3], [3, 3], [4.5, 4.5], [NAN, NAN], [9, 6]]  # one coordinate alone is no place
    np.testing.assert_allclose(found, expected, atol=1e-15)
    sure = np.array([0.1, 0.9, 0.2, 0.4, 0.3])
    found = Skeleton(numbers="xyc", smooth=3)(np.column_stack([path, sure]))
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-15)
    np.testing.assert_array_equal(found[:, 2], sure)  # how sure the camera was is read as it is
    found = Skeleton(smooth=5, frames=9, velocity=True)(flat(frames))
    wide = np.concatenate([[p := resampled(frames, 9), p][0][:1]] * 2 + [p] + [p[-1:]] * 2)
    np.testing.assert_allclose(found[:, :15], flat(sum(wide[k : k + 9] for k in range(5)) / 5), atol=1e-14)
    np.testing.assert_allclose(found[1:, 15:], np.diff(found[:, :15], axis=0), atol=1e-14)


def test_what_is_no_skeleton_is_said() -> None:
    with pytest.raises(DataError, match=r"a\.npz: has 7 numbers a frame, expected a multiple of 3: x, y, z"):
        Skeleton().joints_of(7, "a.npz")
    with pytest.raises(DataError, match=r"has 2 joints, so task\.joints\.root is at most 1, got 5"):
        Skeleton(root=5).joints_of(6, "a.npz")
    with pytest.raises(DataError, match=r"has 2 joints, so task\.joints\.pairs is at most 1, got 2"):
        Skeleton(pairs=((0, 1), (2, 0))).joints_of(6, "a.npz")
    for options, words in (
        ({"pairs": ((1, 1),)}, r"pairs: expected two different joints, got \[1, 1\]"),
        ({"pairs": ((0, 1), (0, 1))}, r"pairs: \[0, 1\] is there more than once"),
        ({"smooth": 4}, "smooth: expected an odd number"),
    ):
        with pytest.raises(ConfigError, match=words):
            Skeleton(**options)
    with pytest.raises(ConfigError, match="origin: has no effect without root"):
        Skeleton(origin="start")
    assert body_size(np.full((2, 3, 3), NAN), ()) == 1.0
    assert body_size(np.zeros((2, 3, 3)), (0,)) == 1.0


def test_a_turn_is_that_of_the_textbook(frames: np.ndarray) -> None:
    turn = rotation(np.array([0.0, 1.0, 0.0]), 0.7)
    expected = [oracle.turned_around_y(point, 0.7) for point in frames[0].tolist()]
    np.testing.assert_allclose(frames[0] @ turn.T, expected, atol=1e-15)
    skeleton = Skeleton()
    moved = Movement(rotate=90, axis="any").raw(flat(frames), skeleton, 5).reshape(7, 5, 3)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=2), np.linalg.norm(frames, axis=2), atol=1e-13)
    assert np.abs(moved - frames).max() > 0.1
    level = Movement(rotate=90).raw(flat(frames), skeleton, 5).reshape(7, 5, 3)
    np.testing.assert_array_equal(level[..., 1], frames[..., 1])


def test_time_runs_from_the_first_frame_to_the_last_and_never_back() -> None:
    movement = Movement(warp=0.9)
    for key in range(50):
        times = movement.times(40, key)
        assert (times[0], times[-1]) == (0.0, 39.0)
        assert (np.diff(times) > 0).all()
    slopes = np.diff(np.array([movement.times(4001, key) for key in range(50)]), axis=1)
    assert 0.1 - 1e-3 < slopes.min() < slopes.max() < 1.9 + 1e-3  # 1 - warp to 1 + warp


def test_what_is_drawn_is_a_function_of_the_key_and_confidences_stay(frames: np.ndarray) -> None:
    raw = flat(np.concatenate([frames, np.full((7, 5, 1), 0.5)], axis=2))
    movement, skeleton = Movement(rotate=20, scale=0.2, warp=0.3, crop=0.4, jitter=0.1), Skeleton(numbers="xyzc")
    one, same, other = (movement.raw(raw, skeleton, key) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or np.abs(one - other).max() > 0
    np.testing.assert_allclose(one.reshape(len(one), 5, 4)[..., 3], 0.5)
    marked = np.ones((6, 4), np.float32)
    shaken = movement.read(marked, 3, 1)
    assert (shaken[:, 3] == 1).all()  # a mark of what is there is no number to shake
    assert (shaken[:, :3] != 1).all()


def test_what_has_no_effect_is_said() -> None:
    with pytest.raises(ConfigError, match="nothing is drawn"):
        Movement()
    assert Movement(rotate=5).problems(None) == ["augment.rotate: needs points; set task.joints, or leave it out."]
    assert "which undoes it" in Movement(scale=0.1).problems(Skeleton(scale="body"))[0]
    assert "turn in their plane" in Movement(rotate=5, axis="z").problems(Skeleton(numbers="xy"))[0]
