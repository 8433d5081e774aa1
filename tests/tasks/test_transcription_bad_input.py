"""Recordings as people have them: silent, clipped, of one sample, upsampled, of several rates, missing, twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.data.sound import wav
from recurra.models import SequenceModel
from recurra.tasks import Transcription, TranscriptionConfig
from recurra.tasks.sizing import Seen
from recurra.tasks.transcription.sizing import OFTEN

RATE = 8000
RNG = np.random.default_rng(5)
NOISE = (0.1 * RNG.normal(size=RATE)).clip(-1, 1)


def row(samples: Any, text: str = "ab", line: int = 2, rate: int = RATE) -> Record:
    return Record({"audio": wav(np.asarray(samples, np.float64), rate), "text": text}, Origin("s.csv", line))


def task_of(*rows: Record, **options: Any) -> Transcription:
    plan = TranscriptionConfig(sound={"name": "kaldi", "rate": RATE, "bands": 8}, floor=5.0, **options)
    return plan.fit(list(rows) or [row(NOISE)], "s.csv")


def loud_model(task: Transcription, seed: int) -> SequenceModel:
    """A model that says something of anything."""
    torch.manual_seed(seed)
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 6, "bidirectional": False}
    model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head="ctc").eval()
    with torch.no_grad():
        model.head.output.bias[0] = -50.0  # the blank is never the most probable
    return model


@pytest.mark.parametrize("scaling", ["running", "training", "utterance"])
@pytest.mark.parametrize("samples", [0, 1, 199, 200, 8000])
@pytest.mark.parametrize("level", [0.0, 2 / 32768, 3e-4])
def test_nothing_is_said_of_silence_whatever_the_model_would_say(scaling: str, samples: int, level: float) -> None:
    task = task_of(scaling=scaling, stack=1)
    quiet = level * np.sign(RNG.normal(size=samples))
    example = task.example(row(quiet), gold=False)
    outputs = []
    for seed in range(3):
        model = loud_model(task, seed)
        (said,) = task.predict(model, task.collate([example], [0]), [example])
        outputs.append(task.answer(example, said).output)
        if scaling != "utterance":
            predictor = task.predictor(model)
            place = predictor.hear(predictor.begin(), (np.round(quiet * 32767) / 32768).astype(np.float32))
            assert predictor.said(predictor.ended(place))["output"] == outputs[-1]
    # 3e-4 is ten steps of 16 bits: a quiet room, of which something may be said once there is a frame of 200 samples.
    assert all(outputs) if level == 3e-4 and samples >= 200 else outputs == ["", "", ""]


def test_a_recording_of_one_sample_has_no_frame_and_cannot_be_learned_from() -> None:
    with pytest.raises(DataError, match=r"s\.csv:2.*too few for one frame"):
        TranscriptionConfig(sound={"name": "kaldi", "rate": RATE}).read(row(np.ones(1) * 0.1))


def test_a_rate_that_changes_between_files_is_named_where_it_changes(tmp_path: Path) -> None:
    plan = TranscriptionConfig(sound={"name": "kaldi", "rate": RATE})
    plan.read(row(NOISE))
    path = tmp_path / "fast.wav"
    path.write_bytes(wav(NOISE, 16_000))
    with pytest.raises(DataError, match=r"fast\.wav: has 16,000 samples a second, and task\.sound\.rate is 8,000"):
        plan.read(Record({"audio": str(path), "text": "ab"}, Origin(str(tmp_path / "s.csv"), 3)))
    pytest.importorskip("soxr", reason="soxr is not installed; it comes with recurra[test]")
    mixed = TranscriptionConfig(sound={"name": "kaldi", "rate": RATE, "resample": True})
    assert mixed.read(row(NOISE, rate=16_000)).recording.rate == 16_000


def test_a_missing_recording_is_named_with_its_line(tmp_path: Path) -> None:
    plan = TranscriptionConfig(sound={"name": "kaldi", "rate": RATE})
    with pytest.raises(DataError, match=r"s\.csv:7: column 'audio': .*gone\.wav: no such file"):
        plan.read(Record({"audio": "gone.wav", "text": "a"}, Origin(str(tmp_path / "s.csv"), 7)))


def notes(*samples: Any) -> str:
    rows = [row(one, line=n + 2) for n, one in enumerate(samples)]
    task = task_of(*rows)
    return "\n".join(task.filter([task.example(one) for one in rows], "train")[1])


def test_clipping_silence_and_sound_of_a_lower_rate_are_named_with_the_first_of_them() -> None:
    spectrum = np.fft.rfft(NOISE)
    spectrum[len(spectrum) // 2 :] = 0  # as if it was made at half the rate
    narrow = np.fft.irfft(spectrum, len(NOISE))
    found = notes(NOISE, (20 * NOISE).clip(-1, 1), np.zeros(RATE), narrow)
    assert "1 of 4 recordings is clipped: more than 1 sample in 1,000 is at the limit; the first: s.csv:3." in found
    assert "1 of 4 recordings is silent; the first: s.csv:4." in found
    assert "1 of 4 recordings is without sound above 2,200 Hz" in found
    assert "such as 4,000, and task.sound.resample: true; the first: s.csv:5." in found
    quiet = notes(NOISE, 0.01 * NOISE)
    assert not any(word in quiet for word in ("clipped", "silent", "without sound"))


def test_the_same_recording_twice_is_the_same_row_to_the_splits() -> None:
    plan = TranscriptionConfig(sound={"name": "kaldi", "rate": RATE})
    first, again, other = plan.read(row(NOISE)), plan.read(row(NOISE, "b", 3)), plan.read(row(NOISE[::-1], "b", 4))
    assert first.key == again.key != other.key


def chosen(texts: list[str], number: int) -> dict[str, Any]:
    rows = [row(NOISE, text) for text in texts]
    return {one.path: one.value for one in TranscriptionConfig.sized({"text": "text"}, Seen(rows, number))}


def test_words_are_units_from_where_each_is_said_thirty_times_on_average() -> None:
    assert chosen(["yes no"] * OFTEN, 500)["task.tokenizer"] == {"name": "spaces"}
    assert "task.tokenizer" not in chosen(["yes no"] * (OFTEN - 1), 500)
    assert "task.tokenizer" not in chosen([""] * 40, 500)


def test_few_recordings_are_fewer_than_two_hundred() -> None:
    few, more = chosen(["yes no"] * 10, 199), chosen(["yes no"] * 10, 200)
    assert (few["model.head.blank_share"], few["training.select"]) == (0.95, "unit_nats")
    assert not {"model.head.blank_share", "training.select"} & set(more)


def test_few_sounds_are_given_noise_that_comes_and_goes_and_epochs_by_their_number() -> None:
    def of(number: int, **options: Any) -> dict[str, Any]:
        seen = Seen([row(NOISE, "yes no")] * 10, number)
        found = {one.path: one.value for one in TranscriptionConfig.sized({"text": "text", **options}, seen)}
        return {name: found.get(name) for name in ("task.noise_db", "task.noise_stretches", "training.epochs")}

    sound = {"name": "kaldi", "rate": RATE}
    assert list(of(30, sound=sound).values()) == [8, 2, 80]
    assert list(of(48, sound=sound).values()) == [8, 2, 50]
    assert list(of(199, sound=sound).values()) == [8, 2, 40]
    assert list(of(200, sound=sound).values()) == [None, None, 40]
    assert list(of(30).values()) == [None, None, 40]  # features: noise is added to sounds
