"""Sounds as series: from a folder or a list to a config, a run and answers; lengths and batches."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import read
from recurra.models import MODELS
from recurra.tasks import SeriesClassification, SeriesClassificationConfig
from sound_room import put, soundfile, tone, tones

PLAN: dict[str, Any] = {"values": "sound", "sound": {"name": "kaldi", "rate": 8_000, "bands": 10}}


def fitted(folder: Path, **options: Any) -> SeriesClassification:
    return SeriesClassificationConfig(**PLAN, **options).fit(list(read(tones(folder, 4))), "tones")


def test_rows_of_a_folder_are_files_by_class_and_others_are_said(tmp_path: Path) -> None:
    tones(tmp_path / "t", 2)
    (tmp_path / "t" / "README.md").write_text("about", encoding="utf-8")
    said: list[str] = []
    rows = [dict(row.fields) for row in read(tmp_path / "t", note=said.append)]
    assert [(row["sound"].name, row["label"]) for row in rows] == [
        ("0.wav", "high"),
        ("1.wav", "high"),
        ("0.wav", "low"),
        ("1.wav", "low"),
    ]
    assert said == [f"{tmp_path / 't'}: left out: 1 file beside the folders of classes."]
    (alone,) = read(tmp_path / "t" / "low" / "0.wav")
    assert dict(alone.fields) == {"sound": tmp_path / "t" / "low" / "0.wav"}


def test_a_header_tells_the_length_and_features_are_scaled_by_training(tmp_path: Path) -> None:
    task = fitted(tmp_path / "t")
    assert task.model_sizes == {"features": 10, "labels": 2}
    examples = [task.example(row) for row in read(tmp_path / "t")]
    assert [e.length for e in examples] == [len(e.values) for e in examples] == [8, 9, 10, 11] * 2
    together = np.concatenate([e.values for e in examples])
    np.testing.assert_allclose(together.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(together.std(0), 1, atol=1e-5)
    short = fitted(tmp_path / "t", max_length=9)
    assert short.example(next(iter(read(tmp_path / "t" / "low" / "3.wav"))), gold=False).length == 9


def test_a_sound_too_short_for_a_frame_is_refused_in_training_and_blank_later(tmp_path: Path) -> None:
    task = fitted(tmp_path / "t")
    row = Record({"sound": put(tmp_path / "a.wav", tone(300, 150)), "label": "low"}, Origin("x"))
    with pytest.raises(DataError, match=r"a.wav: has no step: 150 samples are too few for one frame"):
        task.example(row)
    blank = task.example(row, gold=False)
    assert (blank.length, blank.is_blank) == (0, True)
    assert task.collate([blank], [0]).inputs["features"].shape == (0, 1, 10)


def test_a_service_can_try_a_model_before_anybody_asks(tmp_path: Path) -> None:
    task = fitted(tmp_path / "t")
    assert task.example(Record(task.trial_fields, Origin("start")), gold=False).length == 98


def test_without_soundfile_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = fitted(tmp_path / "t")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(
        ConfigError, match=r'a sound needs soundfile, which is not installed; pip install "recurra\[audio'
    ):
        task.example(next(iter(read(tmp_path / "t"))))


def test_options_that_do_not_fit_sounds_are_refused_together() -> None:
    with pytest.raises(ConfigError) as refused:
        SeriesClassificationConfig(values=("a", "b"), sound=PLAN["sound"], missing="mask")
    assert len(refused.value.problems) == 2
    with pytest.raises(ConfigError, match="highest: is 9000 Hz"):
        SeriesClassificationConfig(sound={"name": "kaldi", "rate": 8_000, "highest": 9_000})


@pytest.mark.parametrize("listed", [False, True])
def test_from_a_folder_or_a_list_to_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, listed: bool) -> None:
    monkeypatch.chdir(tmp_path)
    source = tones(tmp_path / "tones")
    if listed:
        lines = [f"tones/{name}/{k}.wav,{name}" for k in range(12) for name in ("low", "high")]
        source = tmp_path / "list.csv"
        source.write_text("\n".join(["clip,label", *lines]), encoding="utf-8")
    text = api.init("series_classification", source)
    tree = yaml.safe_load(text)
    column = "clip" if listed else "sound"
    assert (tree["task"]["values"], tree["task"]["label"]) == (column, "label")
    assert (tree["task"]["sound"]["name"], tree["task"]["sound"]["rate"]) == ("kaldi", 8_000)
    tree["training"] |= {"epochs": 12, "patience": None}
    tree["model"]["encoder"]["hidden_size"] = 8
    said = "train: sounds of 8,000 Hz; log-mel features as Kaldi: 40 bands, 200 samples every 80."
    assert said in api.check(tree).notes
    api.train(tree, out=tmp_path / "run")
    new = put(tmp_path / "new.wav", tone(2600, 900, seed=99))
    asked: list[Any] = ["new.wav", {column: new}, {column: new.read_bytes()}]
    answers = [one.answer.to_dict() for one in api.answered(tmp_path / "run", asked)]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0]["label"], answers[0]["steps"]) == ("high", 9)
    stereo = put(tmp_path / "two.wav", np.stack([tone(300, 900)] * 2, axis=1))
    with pytest.raises(DataError, match=r"two.wav: has 2 channels"):
        list(api.answered(tmp_path / "run", [{column: stereo}]))


def test_batches_have_the_bits_of_each_sound_alone(tmp_path: Path) -> None:
    task = fitted(tmp_path / "t")
    assert task.decodes
    examples = [task.example(row) for row in read(tmp_path / "t")]
    batch = task.collate(examples, range(8)).inputs["features"]
    for n, example in enumerate(examples):
        alone = task.collate([example], [0]).inputs["features"]
        assert batch[: example.length, n].numpy().tobytes() == alone[:, 0].numpy().tobytes()
        assert not batch[example.length :, n].any()


def test_a_service_takes_bytes_and_opens_no_file_under_any_spelling(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="fastapi is not installed; it comes with recurra[test]")
    from recurra.service.errors import RefusedError
    from recurra.service.models import records_of

    served: Any = type("Served", (), {"inputs": SeriesClassificationConfig(**PLAN).inputs, "input_field": "sound"})()
    wav = put(tmp_path / "a.wav", tone(300, 900))
    (record,) = records_of(served, None, [{"sound": base64.b64encode(wav.read_bytes()).decode()}])
    assert record.fields["sound"] == wav.read_bytes()
    for name in ("sound", "\u200bsound", " sound"):
        with pytest.raises(RefusedError, match="not its name"):
            records_of(served, None, [{name: str(wav)}])
    assert soundfile.info(wav).frames == 900


def streaming_model(task: SeriesClassification) -> torch.nn.Module:
    torch.manual_seed(3)
    encoder = {"name": "recurrent", "hidden_size": 6, "bidirectional": False}
    parts = {"inputs": {"name": "vectors"}, "encoder": encoder, "head": {"name": "label", "pooling": "last"}}
    return MODELS["sequence_model"](task.model_sizes, **parts).eval()


@pytest.mark.parametrize("size", [1, 79, 80, 200, 1_000])
def test_a_sound_in_pieces_of_any_size_has_the_answer_of_the_whole_bit_for_bit(tmp_path: Path, size: int) -> None:
    task = fitted(tmp_path / "t")
    model = streaming_model(task)
    samples = (tone(440, 1_000) * 32767).astype("<i2")
    whole = Record({"sound": put(tmp_path / "a.wav", samples)}, Origin("x"))
    example = task.example(whole, gold=False)
    (expected,) = task.predict(model, task.collate([example], [0]), [example])
    predictor = task.predictor(model)
    place = predictor.begin()
    for start in range(0, len(samples), size):
        piece = base64.b64encode(samples[start : start + size].tobytes()).decode()
        place, answer = predictor.read(place, piece)
    assert answer["probabilities"] == expected.probabilities
    assert answer["steps"] == example.length == 11


def test_a_sound_without_a_whole_frame_is_blank_and_no_samples_are_refused(tmp_path: Path) -> None:
    task = fitted(tmp_path / "t")
    predictor = task.predictor(streaming_model(task))
    _, answer = predictor.read(predictor.begin(), base64.b64encode(bytes(2 * 199)).decode())
    assert (answer["label"], answer["steps"]) == ("", 0)
    with pytest.raises(DataError, match="piece: is no base64"):
        predictor.read(predictor.begin(), "0.1 0.2")
    with pytest.raises(DataError, match="piece: holds 3 bytes, expected two for each sample"):
        predictor.read(predictor.begin(), base64.b64encode(b"abc").decode())


@pytest.mark.parametrize(
    ("sound", "word"),
    [
        ({"name": "librosa", "rate": 8_000, "bands": 10}, "frames need samples that come later"),
        ({"name": "kaldi", "rate": 8_000, "bands": 10, "resample": True}, "task.sound.resample"),
        ({"name": "kaldi", "rate": 8_000, "bands": 10, "step_ms": 30}, "task.sound.step_ms"),
    ],
)
def test_a_sound_whose_frames_need_more_than_what_came_is_refused_in_pieces(
    tmp_path: Path, sound: dict[str, Any], word: str
) -> None:
    task = SeriesClassificationConfig(values="sound", sound=sound).fit(list(read(tones(tmp_path / "t", 4))), "tones")
    with pytest.raises(ConfigError, match=word):
        task.predictor(streaming_model(task))
