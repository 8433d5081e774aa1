"""Autoencoders of music, and of rows whose detail may be lost: what they read, say and are judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.models.autoencoder import Autoencoder
from recurra.tasks import AutoencodingConfig, Plays
from recurra.tasks.autoencoding.columns import autoencoding_suggested
from recurra.tasks.autoencoding.detail import scale_table, scales_of
from recurra.tasks.sizing import Seen

PIECES = ("C4+E4 D4 - E4", "C4 C4+G4 D4", "E4 - C4 C4 D4", "G4 G4 E4")
MUSIC: dict[str, Any] = {"values": "chords", "notes": (60, 67), "scaling": "none", "likelihood": "bernoulli"}


def music(**options: Any) -> tuple[Any, list[Any]]:
    config = AutoencodingConfig(**{**MUSIC, "code_size": 3, **options})
    records = [Record({"chords": piece}, Origin("songs.jsonl", n)) for n, piece in enumerate(PIECES, 1)]
    task, examples = config.fit_examples([config.read(record) for record in records], "songs.jsonl")
    return task, list(examples)


def test_chords_are_read_as_notes_and_said_as_chords() -> None:
    task, examples = music()
    np.testing.assert_array_equal(np.argwhere(examples[0].values), [[0, 0], [0, 4], [1, 2], [3, 4]])
    assert task.feature_names()[:2] == ("C4", "C#4")
    torch.manual_seed(0)
    decoder = {"name": "hierarchical", "bar": 2, "hidden_size": 4, "teacher_forcing": True}
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 4}
    model = Autoencoder(task.model_sizes, encoder=encoder, decoder=decoder).eval()
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, range(4)), examples)
        (alone,) = task.predict(model, task.collate(examples[2:3], (2,)), examples[2:3])
    np.testing.assert_array_equal(alone.values, outputs[2].values)
    values = np.zeros((3, 8), np.float32)
    values[0, [0, 7]], values[2, 2] = 0.9, 0.51
    assert task.by_column(values) == {"chords": "C4+G4 - D4"}
    assert isinstance(task, Plays)
    with pytest.raises(DataError, match="no note"):
        task.midi("H9")


def test_frame_accuracy_is_the_share_of_notes_that_sound_and_are_said() -> None:
    task, examples = music()
    said = [row.copy() for row in task.rows(examples)]
    said[0][0, 4], said[1][0, 7] = 0.4, 0.6  # one of 15 notes is lost, and one is too many
    scores = {one.name: one.value for one in task.score(task.of_arrays(task.rows(examples), said), examples, "test")}
    assert scores["frame_accuracy"] == pytest.approx(14 / 16)
    assert "detail_kept" not in scores


def test_init_knows_chords_from_numbers() -> None:
    rows = [Record({"title": "a", "chords": piece}, Origin("songs.jsonl", n)) for n, piece in enumerate(PIECES)]
    found = autoencoding_suggested(rows, Path("songs.jsonl")).task
    assert found == {"values": "chords", "notes": [21, 108], "scaling": "none", "likelihood": "bernoulli"}
    choices = {c.path: c.value for c in AutoencodingConfig.sized(found, Seen(rows, 4))}
    assert choices["model.decoder.name"] == "recurrent"
    lists = [Record({"chords": [[60, 64], [62], []]}, Origin("songs.jsonl", 1))]
    assert autoencoding_suggested(lists, Path("songs.jsonl")).task["notes"] == [21, 108]


@pytest.mark.parametrize(
    ("name", "steps", "music"),
    [
        ("chords", [[60, 64, 67], [62, 65, 69]], True),  # as many notes in each
        ("Melody", [[60], [62]], True),
        ("melody", "60 62 64", True),
        ("x", ["C4+E4+G4", "D4+F4+A4"], True),  # names are no numbers
        ("x", [[60, 64, 67], [62, 65, 69]], True),  # three rising keys of a piano in each step
        ("x", [[60, 64], [62, 65]], False),
        ("x", [[60, 67, 64], [62, 65, 69]], False),
        ("x", [[0, 64, 67], [62, 65, 69]], False),
        ("chords", [[60.5], [62]], False),
    ],
)
def test_init_tells_chords_of_one_size_from_numbers(name: str, steps: Any, music: bool) -> None:
    rows = [Record({name: steps}, Origin("rows.jsonl", n)) for n in range(2)]
    assert ("notes" in autoencoding_suggested(rows, Path("rows.jsonl")).task) == music


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"notes": (60,)}, "notes: expected a lowest and a highest MIDI number"),
        ({"scaling": "standard", "likelihood": "squared_error"}, "scaling: notes are 0 or 1 already; set none"),
        ({"values": ("a", "b")}, "values: with notes it is one column"),
        ({"missing": "mask"}, "missing: has no effect with notes"),
        ({"binarize": "threshold"}, "binarize: has no effect with notes"),
        ({"notes": None, "steps_per_quarter": 4}, "steps_per_quarter: has no effect without notes"),
    ],
)
def test_options_that_do_not_go_with_notes_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AutoencodingConfig(**{**MUSIC, **options})


def test_a_note_outside_is_named_with_its_step() -> None:
    config = AutoencodingConfig(**MUSIC)
    with pytest.raises(DataError, match=r"songs.jsonl:1: column 'chords', step 2: A5 \(81\) is not in 60..67"):
        config.read(Record({"chords": "C4 A5"}, Origin("songs.jsonl", 1)))


@pytest.mark.parametrize("flatten", [False, True])
def test_smooth_rows_lose_detail_and_copies_keep_it(flatten: bool) -> None:
    rng = np.random.default_rng(0)
    config = AutoencodingConfig(values="values", flatten=flatten, code_size=2)
    records = [Record({"values": rng.normal(size=(8, 8))}, Origin("rows.npz", n)) for n in range(6)]
    task, examples = config.fit_examples([config.read(record) for record in records], "rows.npz")
    examples = list(examples)
    rows = task.rows(examples)
    smooth = [row.reshape(4, 2, 4, 2).mean((1, 3)).repeat(2, 0).repeat(2, 1) for row in (r.reshape(8, 8) for r in rows)]
    smooth = [one.reshape(row.shape) for one, row in zip(smooth, rows, strict=True)]
    for said, kept in ((smooth, 0.0), (rows, 1.0)):
        outputs = task.of_arrays(rows, said)
        scores = {one.name: one.value for one in task.score(outputs, examples, "test")}
        assert scores["detail_kept"] == pytest.approx(kept, abs=1e-6)
        scales, of = scales_of(task, outputs, examples)
        (table,) = scale_table(scales, of)
        assert table.rows[0][0] == ("1 pixel" if flatten else "1 step")
