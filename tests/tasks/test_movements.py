"""Joints and augmentation in the classification of series."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.store import InMemory
from recurra.tasks.series_classification import SeriesClassification, SeriesClassificationConfig
from recurra.tasks.series_classification.columns import joints_among
from recurra.tasks.series_streaming import _cannot

JOINTS = {"name": "skeleton", "numbers": "xyzc", "root": 0, "scale": "body", "velocity": True}
MOVES = {"name": "movement", "rotate": 30, "warp": 0.5, "crop": 0.3, "jitter": 0.1}


def records(number: int = 6, seed: int = 0) -> list[Record]:
    """Movements of three joints with confidences, of 6 to 11 frames."""
    rng = np.random.default_rng(seed)
    return [
        Record({"values": rng.normal(size=(6 + n, 12)).tolist(), "label": "ab"[n % 2]}, Origin("m.npz", n + 1))
        for n in range(number)
    ]


def fitted(**options: Any) -> tuple[SeriesClassification, list[Any]]:
    plan = SeriesClassificationConfig(**options)
    task, examples = plan.fit_examples([plan.read(record) for record in records()], "m.npz")
    return task, list(examples)


def test_a_model_reads_what_is_made_of_joints() -> None:
    task, examples = fitted(joints=JOINTS)
    assert task.model_sizes["features"] == 3 * 3 + 3 + 3 * 3
    assert task.reader.num_features == 12
    assert len(task.feature_names()) == 21
    assert task.feature_names()[9] == "joint 0 confidence"
    assert [len(e.values) for e in examples] == list(range(6, 12))
    assert all(e.raw is None for e in examples)
    again = task.plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    np.testing.assert_array_equal(again.example(records()[2]).values, examples[2].values)


def test_what_an_epoch_draws_depends_on_seed_epoch_and_series_alone() -> None:
    task, examples = fitted(joints=JOINTS, augment=MOVES)
    alone = task.drawn(examples[3:4], (3,), 5, 2)
    together = task.drawn(examples, range(6), 5, 2)
    number = int(alone.lengths[0])
    assert number <= 9
    np.testing.assert_array_equal(alone.inputs["features"][:, 0], together.inputs["features"][:number, 3])
    np.testing.assert_array_equal(task.drawn(examples, range(6), 5, 2).inputs["features"], together.inputs["features"])
    other = task.drawn(examples, range(6), 5, 3)
    assert other.inputs["features"].shape != together.inputs["features"].shape or bool(
        (other.inputs["features"] != together.inputs["features"]).any()
    )
    np.testing.assert_array_equal(task.collate(examples, range(6)).inputs["features"][:6, 0], examples[0].values)


def test_examples_that_are_learned_from_keep_what_the_file_has_and_others_do_not() -> None:
    task, examples = fitted(joints=JOINTS, augment=MOVES)
    rows = [task.plan.read(record) for record in records()]
    np.testing.assert_array_equal(examples[1].raw, rows[1].raw)
    assert all(e.raw is None for e in task.examples(rows))
    stored = InMemory().examples(examples, task.example_codec)
    np.testing.assert_array_equal(stored[1].raw, rows[1].raw)


def test_a_joint_that_is_missing_is_named_by_frame() -> None:
    (first, *_) = records()
    values = np.array(first.fields["values"])
    values[2, 4:7] = 0.0
    lost = replace(first, fields={**first.fields, "values": values.tolist()})
    plan = SeriesClassificationConfig(joints={**JOINTS, "zeros": "missing"})
    with pytest.raises(DataError, match=r"m\.npz:1: frame 3: joint 1 is missing\. Set task\.joints\.gaps: fill"):
        plan.read(lost)
    filled = SeriesClassificationConfig(joints={**JOINTS, "zeros": "missing", "gaps": "fill"})
    assert len(filled.read(lost).raw) == 6
    masked = SeriesClassificationConfig(joints={**JOINTS, "zeros": "missing"}, missing="mask")
    task, _ = masked.fit_examples([masked.read(one) for one in (lost, *records()[1:])], "m.npz")
    example = task.example(lost)
    assert np.isfinite(example.values).all()
    there = example.values[:, 21:]
    assert not there[2, 3:6].any()  # the place of joint 1, and its velocity there and after
    assert not there[2:4, 15:18].any()
    assert there[4].all()


def test_what_cannot_take_effect_is_refused() -> None:
    for options, said in (
        ({"augment": {"name": "movement", "rotate": 9}}, r"augment\.rotate: needs points; set task\.joints"),
        ({"sound": {"name": "kaldi", "rate": 16000}, "joints": "skeleton"}, "joints: has no effect with sound"),
        ({"joints": JOINTS, "scaling": "series"}, r"joints\.scale: has no effect with scaling: series"),
        ({"joints": JOINTS, "augment": {**MOVES, "scale": 0.2}}, r"augment\.scale: has no effect with"),
    ):
        with pytest.raises(ConfigError, match=said):
            SeriesClassificationConfig(**options)
    plan = SeriesClassificationConfig(joints={"name": "skeleton", "numbers": "xy", "root": 9})
    with pytest.raises(DataError, match=r"m\.npz:1: has 6 joints, so task\.joints\.root is at most 5, got 9"):
        plan.read(records()[0])
    task, _ = fitted(joints=JOINTS)
    assert any(said.startswith("task.joints: are made of whole series") for said in _cannot(task))


def test_joints_are_known_by_the_names_of_columns() -> None:
    mediapipe = [f"{axis}{n}" for n in range(3) for axis in ("x", "y", "z", "visibility")]
    assert joints_among(mediapipe) == ("xyzc", mediapipe)
    apart = [f"{axis}_{n}" for axis in "xy" for n in (1, 2)]
    assert joints_among(apart) == ("xy", ["x_1", "y_1", "x_2", "y_2"])
    named = [f"{joint}_{axis}" for joint in ("head", "hip", "knee", "foot", "hand") for axis in "xyz"]
    assert joints_among(named) == ("xyz", named)
    assert joints_among(["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]) is None  # two sensors
    assert joints_among([*mediapipe, "speed"]) is None
    assert joints_among(mediapipe[:-1]) is None


def test_init_suggests_the_joints_of_a_table(tmp_path: Path) -> None:
    names = [f"{axis}{n}" for n in range(2) for axis in ("x", "y", "z", "visibility")]
    rows = [
        Record({"recording": r, "frame": str(t), **dict.fromkeys(names, str(0.1 * t)), "label": r}, Origin("d.csv", t))
        for r in ("a", "b")
        for t in range(4)
    ]
    found = SeriesClassificationConfig.suggested(rows, tmp_path / "d.csv")
    assert found.task["joints"] == {"name": "skeleton", "numbers": "xyzc"}
    assert found.task["values"] == names
    assert "joints: 2, each with x, y, z, c, by the names of the columns." in found.said


def test_noise_is_on_every_number_that_is_there_and_on_no_other() -> None:
    shaken = {"name": "movement", "jitter": 0.5}
    given = records()
    given[2] = replace(given[2], fields={**given[2].fields, "values": [[None, *row[1:]] for row in raw_of(given[2])]})
    plan = SeriesClassificationConfig(missing="mask", augment=shaken)
    task, examples = plan.fit_examples([plan.read(one) for one in given], "m.npz")
    rows = list(examples)
    found = task.drawn(rows, range(6), 0, 0).inputs["features"][: len(rows[2].values), 2].numpy()
    changed = found != rows[2].values
    assert not changed[:, 0].any()  # missing: read as 0, in training as in use
    assert changed[:, 1:12].all()
    assert not changed[:, 12:].any()  # the marks of what is there
    same = [replace(one, fields={**one.fields, "values": raw_of(one)[:6]}) for one in records()]
    plan = SeriesClassificationConfig(flatten=True, scaling="series", augment=shaken)
    task, examples = plan.fit_examples([plan.read(one) for one in same], "m.npz")
    rows = list(examples)
    found = task.drawn(rows, range(6), 0, 0).inputs["features"][0, 2].numpy()
    assert (found != rows[2].values[0]).all()


def raw_of(record: Record) -> list[list[float]]:
    return list(record.fields["values"])


def test_augmentations_that_scaling_undoes_or_a_vector_cannot_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"augment\.scale: has no effect with scaling: series, which undoes it"):
        SeriesClassificationConfig(scaling="series", augment={"name": "movement", "scale": 0.2})
    crop = {"name": "movement", "crop": 0.2}
    with pytest.raises(ConfigError, match=r"augment\.crop: with flatten every series has as many steps"):
        SeriesClassificationConfig(flatten=True, augment=crop)
    SeriesClassificationConfig(flatten=True, augment=crop, joints={"name": "skeleton", "frames": 6})
