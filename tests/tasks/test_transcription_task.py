"""Transcription, verb by verb: what is read, learned, said and scored, and what is refused."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oracles import ctc as oracle
from recurra.base.contracts import Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError
from recurra.config import build
from recurra.data.sound import sound_of
from recurra.data.spectra import SPECTRA
from recurra.decode.ctc import Emitted, greedy
from recurra.decode.fusion import Fusion
from recurra.decode.prefix_beam import PrefixStream
from recurra.decode.texts import Texts
from recurra.models import SequenceModel
from recurra.models.heads import CtcHead
from recurra.tasks import Transcription, TranscriptionConfig
from recurra.tasks.sizing import Seen
from recurra.tasks.transcription import augmenting
from recurra.tasks.transcription.augmenting import Augmentation, coloured
from recurra.tasks.transcription.methods.ctc import Steps
from recurra.tasks.transcription.methods.searching import Prefixes
from recurra.tasks.transcription.reading import decoded, with_deltas
from recurra.tasks.transcription.task import NOTHING, Said
from recurra.tasks.transcription.texts import cleaned
from recurra.tasks.transcription.warping import of_bands, of_cepstra, warped

RNG = np.random.default_rng(7)
TEXTS = ["ab", "a b", "bb", ""]
FRAMES = [RNG.normal(size=(n, 4)).astype(np.float32) for n in (20, 13, 17, 8)]


def record(number: int, text: str = "ab", values: Any = None) -> Record:
    return Record({"audio": FRAMES[number] if values is None else values, "text": text}, Origin("s.csv", number + 2))


def records() -> list[Record]:
    return [record(n, text) for n, text in enumerate(TEXTS)]


def task_for(**options: Any) -> Transcription:
    return TranscriptionConfig(**{"stack": 2, **options}).fit(records(), "s.csv")


def model_for(task: Transcription, inputs: Any = "vectors", **encoder: Any) -> SequenceModel:
    torch.manual_seed(0)
    parts = {"name": "recurrent", "cell": "gru", "hidden_size": 6, "bidirectional": True, **encoder}
    return SequenceModel(task.model_sizes, inputs=inputs, encoder=parts, head=HEADS[task.method.word]).eval()


HEADS = {
    "ctc": "ctc",
    "transducer": {"name": "transducer", "hidden_size": 5, "embedding_size": 3, "joint_size": 7},
    "attention": {"name": "attention", "decoder": {"name": "recurrent", "embedding_size": 3}},
}
WRITERS = {"name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 1}


def parts_of(head: str, inputs: Any = None) -> dict[str, Any]:
    return {"head": {"name": head, "ctc": 0.3}, "inputs": inputs or {"name": "vectors"}}


def task_with(head: str, **options: Any) -> Transcription:
    plan = TranscriptionConfig(**{"stack": 2, **options}).for_model(parts_of(head))
    return plan.fit(records(), "s.csv")


def test_units_are_what_the_training_texts_consist_of():
    task = task_for()
    assert task.units.units == (" ", "a", "b")
    assert task.model_sizes == {"features": 8, "units": 4}
    assert task.example(record(1, "a b")).units == (2, 1, 3)
    assert task.units.text((2, 1, 3)) == "a b"


def test_frames_are_scaled_and_stacked_and_a_rest_is_left_out():
    task = task_for()
    values, silent = task.example(record(1)).values()
    raw = FRAMES[1].astype(np.float64)
    scaled = (raw - raw.mean(0)) / raw.std(0)
    np.testing.assert_allclose(values, scaled[:12].reshape(6, 8), atol=1e-6)
    assert not silent


def test_slopes_are_those_of_the_htk_book():
    x = np.array([0.0, 1.0, 4.0, 9.0, 16.0])[:, None]
    # (1 (x[t+1] - x[t-1]) + 2 (x[t+2] - x[t-2])) / 10, the ends repeated
    wanted = [(1 - 0 + 2 * (4 - 0)) / 10, (4 - 0 + 2 * (9 - 0)) / 10, (9 - 1 + 2 * 16) / 10]
    found = with_deltas(x, 2)
    np.testing.assert_allclose(found[:3, 1], wanted)
    assert found.shape == (5, 3)


def test_scales_of_a_speaker_are_those_of_all_training_recordings():
    rows = [Record({**one.fields, "who": "abab"[n]}, one.origin) for n, one in enumerate(records())]
    task = TranscriptionConfig(stack=2, scaling="speaker", speaker="who").fit(rows, "s.csv")
    both = np.concatenate([FRAMES[0], FRAMES[2]]).astype(np.float64)
    values, _ = task.example(rows[0]).values()
    wanted = ((FRAMES[0] - both.mean(0)) / both.std(0)).reshape(10, 8)
    np.testing.assert_allclose(values, wanted, atol=1e-6)
    own = FRAMES[0].astype(np.float64)
    for who in ({}, {"who": "c"}):
        new = task.example(Record({"audio": FRAMES[0], **who}, Origin("x", 1)), gold=False)
        np.testing.assert_allclose(new.values()[0], ((own - own.mean(0)) / own.std(0)).reshape(10, 8), atol=1e-6)
        (said,) = task.warnings([Said(NOTHING, "a")], [new])
        assert said == "1 of 1 recordings: no speaker of training, so scaled by itself; the first: x:1."
    assert task.warnings([Said(NOTHING, "a")], [task.example(rows[0])]) == ()
    again = task.plan.restore(json.loads(json.dumps(task.to_json())), "run")
    np.testing.assert_array_equal(again.example(rows[0]).values()[0], values)
    other = task.example(Record({**rows[0].fields, "who": "c"}, Origin("s.csv", 9)))
    assert "dev: 1 speaker not among the 2 of training" in task.filter([other], "dev")[1][-1]
    with pytest.raises(DataError, match="expected the name of a speaker"):
        task.example(records()[0])
    for options in ({"scaling": "speaker"}, {"speaker": "who"}):
        with pytest.raises(ConfigError, match="speaker: "):
            TranscriptionConfig(**options)


def test_running_scales_know_nothing_of_what_comes():
    reader = task_for(scaling="running").reader
    whole = reader.scaled(FRAMES[0])
    changed = FRAMES[0].copy()
    changed[10:] = 99
    np.testing.assert_array_equal(reader.scaled(changed)[:10], whole[:10])
    first, after = reader.running(FRAMES[0][:7], reader.beginning())
    rest, _ = reader.running(FRAMES[0][7:], after)
    np.testing.assert_array_equal(np.concatenate([first, rest]), whole)


def test_the_loss_is_in_nats_and_counts_units():
    task = task_for()
    examples = [task.example(one) for one in records()]
    batch = task.collate(examples, range(4))
    logits = torch.zeros(len(batch.inputs["features"]), 4, 4)
    loss = task.loss(Prediction({"logits": logits}), batch)
    assert loss.count == 2 + 3 + 2 + 0
    # Of no unit there is one path, all blanks: 4 steps of log 4.
    alone = task.loss(Prediction({"logits": logits[:4, 3:]}), task.collate(examples[3:], [3]))
    assert float(alone.total) == pytest.approx(4 * np.log(4), rel=1e-6)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("beam", [1, 4])
def test_a_recording_alone_says_what_it_says_in_a_batch(head, beam):
    task = task_with(head).with_options({"beam": beam})
    model = model_for(task)
    examples = [task.example(one) for one in records()]
    together = task.predict(model, task.collate(examples, range(4)), examples)
    for n, example in enumerate(examples):
        (alone,) = task.predict(model, task.collate([example], [n]), [example])
        assert alone.emitted == together[n].emitted
        assert alone.nats == pytest.approx(together[n].nats, rel=1e-5)


def test_words_have_times():
    task = task_for()
    path = [0, 2, 2, 1, 0, 3, 3, 0]
    (said,) = greedy(torch.eye(4)[path].unsqueeze(1) * 20, torch.tensor([8]))
    words = task.units.words(said, task.reader.seconds)
    assert [(w.word, w.start, w.end) for w in words] == [("a", 0.02, 0.06), ("b", 0.1, 0.14)]
    assert words[0].score == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("decoder", [{"name": "recurrent", "embedding_size": 3}, WRITERS])
def test_attention_costs_its_share_of_ctc_and_of_the_decoder_step_by_step(decoder):
    task = task_with("attention")
    torch.manual_seed(0)
    head = {"name": "attention", "ctc": 0.3, "decoder": decoder}
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 6, "bidirectional": True}
    model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head=head).eval()
    examples = [task.example(record(n, text)) for n, text in enumerate(("ab", "a b", "bb", "a"))]
    batch = task.collate(examples, range(4))
    with torch.no_grad():
        outputs = model(batch).outputs
        found = task.method.nats(outputs, batch.lengths, batch.targets, None).tolist()
        state = model.head.writer.start(model._encoded(batch), None)
        said = []
        for tokens in batch.inputs["target"]:
            log_probs, state = model.head.writer.step(tokens, state)
            said.append(log_probs.double().numpy())
    for n, example in enumerate(examples):
        wanted = (*example.units, 0)
        written = -sum(said[k][n, unit] for k, unit in enumerate(wanted))
        ctc = oracle.loss(outputs["logits"][: example.length, n].double().numpy(), list(example.units))[0]
        assert found[n] == pytest.approx(0.3 * ctc + 0.7 * written, rel=1e-5)


def test_attention_is_not_streamed_and_refuses_what_speech_has_no_use_for():
    task = task_with("attention", scaling="running")
    with pytest.raises(ConfigError, match="attention looks at all of a recording"):
        task.predictor(model_for(task, bidirectional=False))
    for option, said in ({"copying": True}, "copying: copies tokens"), ({"tie": "all"}, "tie: all shares a table"):
        head = {"name": "attention", "decoder": {"name": "recurrent", **option}}
        with pytest.raises(ConfigError, match=said):
            SequenceModel(task.model_sizes, inputs="vectors", encoder="recurrent", head=head)


def test_nothing_is_said_of_silence():
    task = task_for()
    model = model_for(task)
    with torch.no_grad():
        model.head.output.bias[2] = 50.0  # a model that says "a" all the time
    example = task.example(record(0, values=np.full((20, 4), 3.0)), gold=False)
    (said,) = task.predict(model, task.collate([example], [0]), [example])
    answer = task.answer(example, said)
    assert (answer.output, answer.note, answer.words) == ("", "silence", ())
    assert "1 of 1 recordings: silence" in task.warnings([said], [example])[0]
    loud = task.example(record(0), gold=False)
    assert task.predict(model, task.collate([loud], [0]), [loud])[0].text == "a"


def test_recordings_that_are_too_short_are_named_and_left_out_of_training_alone():
    task = task_for()
    short = task.example(record(3, "aabb"))  # 4 units and 2 blanks, of 4 steps
    assert (short.length, short.needed) == (4, 6)
    kept, notes = task.filter([short, task.example(record(0))], "train")
    assert [e.origin.line for e in kept] == [2]
    assert any("1 of 2 recordings is too short" in note and "s.csv:5, 4 steps for 6" in note for note in notes)
    assert len(task.filter([short], "dev")[0]) == 1


def test_a_transducer_needs_a_step_and_no_more():
    task = task_with("transducer")
    short, none = task.example(record(3, "aabb")), task.example(record(0, "a", FRAMES[0][:1]))
    assert (short.length, short.needed) == (4, 1)
    kept, notes = task.filter([short, none], "train")
    assert kept == [short]
    assert any("as a transducer needs a step" in note for note in notes)


def test_texts_that_no_unit_can_spell_are_named():
    task = task_for()
    _, notes = task.filter([task.example(record(0, "axb"))], "dev")
    assert any("s.csv:2: 'x'" in note for note in notes)
    assert "'x'" in task.doubts([task.example(record(0, "axb"))], ())[0]


def test_what_training_draws_is_a_function_of_seed_epoch_and_recording():
    task = task_for(speed=0.2, time_masks=2, time_mask_width=3, band_masks=1, band_mask_width=2)
    examples = [task.example(one) for one in records()]
    first = task.drawn(examples, range(4), 1, 3)
    again = task.drawn(examples[::-1], range(4), 1, 3)
    size = int(first.lengths[0])
    np.testing.assert_array_equal(first.inputs["features"][:size, 0], again.inputs["features"][:size, 3])
    other = task.drawn(examples, range(4), 1, 4)
    assert not torch.equal(first.lengths, other.lengths)
    plain = task.collate(examples, range(4))
    assert plain.lengths.tolist() == [10, 6, 8, 4]


def test_masks_hide_what_they_say():
    how = TranscriptionConfig(time_masks=1, time_mask_width=5, band_masks=2, band_mask_width=2).augmentation
    for epoch in range(20):
        hidden = how.of(1, epoch, b"x").hidden(60, 13)
        times, bands = hidden.all(1).sum(), hidden.all(0).sum()
        assert times <= 5
        assert bands <= 4
    assert how.of(1, 0, b"x").hidden(4, 13).all(1).sum() == 0  # a fifth of 4 frames at most


def test_a_warp_moves_the_middle_of_a_spectrum_and_not_its_ends():
    places = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    moved = warped(places, 0.08)
    z = np.exp(1j * np.pi * places)  # the phase of an all-pass, from its definition
    np.testing.assert_allclose(moved, np.angle((z - 0.08) / (1 - 0.08 * z)) / np.pi, atol=1e-12)
    np.testing.assert_allclose(warped(moved, -0.08), places, atol=1e-12)


def spectrum_of(cepstra: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The logarithms at these places of the axis: the inverse of an orthonormal cosine transform."""
    orders = np.arange(cepstra.shape[1])
    norms = np.where(orders == 0, 1.0, np.sqrt(2.0))
    return (cepstra * norms) @ np.cos(np.pi * np.outer(orders, places))


def test_cepstra_and_bands_are_warped_to_the_same_spectrum():
    cepstra = np.zeros((3, 40))
    cepstra[:, :12] = RNG.normal(size=(3, 12)) / np.arange(1, 13)
    places = (np.arange(400) + 0.5) / 400
    wanted = spectrum_of(cepstra, warped(places, 0.1))
    np.testing.assert_allclose(spectrum_of(cepstra @ of_cepstra(40, 0.1).T, places), wanted, atol=1e-3)
    np.testing.assert_allclose(spectrum_of(cepstra, places) @ of_bands(400, 0.1).T, wanted, atol=1e-2)
    np.testing.assert_allclose(of_cepstra(13, 0.0), np.eye(13), atol=1e-12)
    np.testing.assert_allclose(of_bands(13, 0.0), np.eye(13), atol=1e-12)


def test_training_warps_each_recording_anew():
    task = task_for(warp=0.1, cepstra=True)
    examples = [task.example(one) for one in records()]
    first = task.drawn(examples, range(4), 1, 3).inputs["features"]
    np.testing.assert_array_equal(first, task.drawn(examples, range(4), 1, 3).inputs["features"])
    assert not torch.equal(first, task.drawn(examples, range(4), 1, 4).inputs["features"])
    assert not torch.equal(first, task_for(warp=0.1).drawn(examples, range(4), 1, 3).inputs["features"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "audio"}, "expected another column"),
        ({"tokenizer": {"name": "kmers"}}, "makes no units of speech|does not make units"),
        ({"tokenizer": {"name": "characters", "lowercase": True}}, "task.case: lower"),
        ({"noise_db": 10}, "these are features"),
        ({"noise_stretches": 2}, "has no effect without noise_db"),
        ({"time_mask_width": 5}, "has no effect without time_masks"),
        ({"band_mask_width": 3}, "has no effect without band_masks"),
        ({"cepstra": True}, "has no effect without warp"),
        ({"cepstra": True, "warp": 0.1, "sound": {"name": "kaldi", "rate": 8000}}, "sounds are read as bands"),
        ({"sound": {"name": "kaldi", "rate": 8000}, "step_ms": 5}, "step_ms: has no effect with sound"),
        ({"sound": {"name": "kaldi", "rate": 8000}, "frame_size": 5}, "frame_size: has no effect with sound"),
    ],
)
def test_options_without_effect_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        TranscriptionConfig(**options)


def test_bad_rows_are_named():
    task = task_for()
    with pytest.raises(DataError, match=r"s\.csv:2: column 'text' holds 3"):
        task.example(Record({"audio": FRAMES[0], "text": 3}, Origin("s.csv", 2)))
    with pytest.raises(DataError, match=r"has 3 numbers a frame, training data had 4"):
        task.example(record(0, values=np.ones((9, 3))), gold=False)
    with pytest.raises(DataError, match="has no frame"):
        task.example(record(0, values=np.ones((0, 4))))
    with pytest.raises(DataError, match="nothing is said in any recording"):
        TranscriptionConfig().fit([record(0, "")], "s.csv")


def test_a_recording_without_frames_has_an_empty_answer():
    task = task_for()
    model = model_for(task)
    example = task.example(record(0, values=np.ones((1, 4))), gold=False)  # half a step
    (said,) = task.predict(model, task.collate([example], [0]), [example])
    assert task.answer(example, said).note == "no frames"


def test_a_task_comes_back_from_json():
    task = task_for(scaling="training", deltas=1, tokenizer="spaces")
    data = json.loads(json.dumps(task.to_json()))
    again = task.plan.restore(data, "run")
    assert again.units.units == task.units.units == ("a", "ab", "b", "bb")
    np.testing.assert_array_equal(again.example(record(0)).values()[0], task.example(record(0)).values()[0])


def test_texts_are_cleaned_as_said():
    assert cleaned("Don't - stop,  twenty-one!", "lower", "drop") == "don't stop twenty-one"
    assert cleaned(" A  b. ", "keep", "keep") == "A b."


def test_sounds_are_read_when_a_batch_is_made(tmp_path: Path):
    room = pytest.importorskip("sound_room", reason="soundfile is not installed")
    for k in range(2):
        room.put(tmp_path / f"{k}.wav", room.tone(300 + 900 * k, 4000, seed=k))
    rows = [Record({"audio": f"{k}.wav", "text": "ab"[k]}, Origin(str(tmp_path / "s.csv"), k + 2)) for k in range(2)]
    sound = {"name": "kaldi", "rate": 8000, "bands": 10}
    task = TranscriptionConfig(sound=sound, speed=0.1, noise_db=10).fit(rows, "s.csv")
    assert task.reader.seconds == pytest.approx(0.03)
    examples = [task.example(one) for one in rows]
    assert task.collate(examples, range(2)).inputs["features"].shape == (16, 2, 30)
    epochs = [task.drawn(examples, range(2), 1, epoch) for epoch in range(4)]
    assert len({int(batch.lengths[0]) for batch in epochs}) > 1
    quiet = room.put(tmp_path / "q.wav", np.zeros(4000))
    example = task.example(Record({"audio": str(quiet)}, Origin("x", None)), gold=False)
    assert task.collate([example], [0]).inputs["silent"].tolist() == [True]


def test_noise_that_comes_and_goes_leaves_the_rest_as_it_was():
    samples = np.sin(np.arange(8000)).astype(np.float32)
    how = Augmentation(noise_db=10, noise_stretches=1)
    found = [how.of(1, epoch, b"a").samples(samples, 8000) - samples for epoch in range(40)]
    heard = [np.flatnonzero(noise) for noise in found]
    assert sum(0 < len(where) < 7000 for where in heard) > 20
    assert all(len(where) >= 0.99 * (where[-1] - where[0]) for where in heard if len(where))  # one stretch
    loud = [20 * np.log10(samples.std() / noise[where].std()) for noise, where in zip(found, heard, strict=True)]
    assert 9.9 < min(loud) < 14  # decibels below the sound
    assert 27 < max(loud) < 34.9  # 4.8 more where it rises from nothing
    np.testing.assert_array_equal(found[3], how.of(1, 3, b"a").samples(samples, 8000) - samples)


def test_noise_that_comes_rises_to_its_loudness_or_fades_from_it_in_a_straight_line(monkeypatch):
    monkeypatch.setattr(augmenting, "coloured", lambda white, colour: np.ones(len(white)))
    samples, how, least = (
        np.tile([1.0, -1.0], 4000).astype(np.float32),
        Augmentation(noise_db=10, noise_stretches=1),
        [],
    )
    for epoch in range(40):
        noise = (how.of(1, epoch, b"a").samples(samples, 8000) - samples).astype(np.float64)
        where = np.flatnonzero(noise)
        if len(where) < 100:
            continue
        first, last = noise[where[0]], noise[where[-1]]
        np.testing.assert_allclose(noise[where], np.linspace(first, last, len(where)), atol=1e-6)  # float32
        least.append((last - first) / max(first, last))
        assert 10 ** (-30 / 20) - 1e-6 <= max(first, last) <= 10 ** (-10 / 20) + 1e-6  # 10 to 30 decibels below 1
    assert min(least) < -0.8
    assert max(least) > 0.8


def test_coloured_noise_has_the_power_of_its_frequencies():
    power = np.abs(np.fft.rfft(coloured(np.random.default_rng(1).normal(size=1 << 16), 2.0))) ** 2
    low, high = power[100:200].mean(), power[1000:2000].mean()
    assert low / high == pytest.approx(100, rel=0.3)  # a tenth of the frequency: a hundred times the power


def streamed(task: Transcription, model: SequenceModel, pieces: list[Any]) -> tuple[Any, Any]:
    predictor = task.listener(model)
    place = predictor.begin()
    for piece in pieces:
        place = predictor.hear(place, piece)
    return place, predictor


@pytest.mark.parametrize(
    ("scaling", "head", "parts", "encoder"),
    [
        ("running", "ctc", None, None),
        ("training", "ctc", {"name": "frames", "num_layers": 2, "hidden_size": 9, "causal": True}, None),
        ("running", "transducer", None, None),
        ("training", "ctc", None, {"name": "transformer", "causal": True, "window": 9, "hidden_size": 16}),
        ("running", "ctc", None, {"name": "chunked", "chunk": 7, "ahead": 3, "left": 9, "hidden_size": 16}),
    ],
)
def test_pieces_of_any_size_say_what_the_whole_says_bit_for_bit(scaling, head, parts, encoder, tmp_path):
    room = pytest.importorskip("sound_room", reason="soundfile is not installed")
    rng = np.random.default_rng(3)
    samples = (0.2 * rng.normal(size=30_000)).astype(np.float32)
    file = room.put(tmp_path / "a.wav", samples, subtype="FLOAT")
    row = Record({"audio": str(file), "text": "abc"}, Origin("s.csv", 2))
    sound, stack = {"name": "kaldi", "rate": 8000, "bands": 8}, 1 if parts else 3 if head == "ctc" else 12
    plan = TranscriptionConfig(sound=sound, scaling=scaling, stack=stack).for_model(parts_of(head, parts))
    task = plan.fit([row], "s.csv")
    model = model_for(task, parts or "vectors", bidirectional=False, hidden_size=16, num_layers=2)
    if encoder:
        model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head="ctc").eval()
    with torch.no_grad():
        for layer in model.inputs.convolutions if parts else ():
            layer.weight *= 8
        model.head.output.weight *= 30 if head == "ctc" else 4
        if head == "transducer":
            model.head.output.bias[0] += 0.7  # or each step says ten units
    example = task.example(row)
    (whole,) = task.predict(model, task.collate([example], [0]), [example])
    assert len(whole.emitted.units) > 3
    for sizes in ([30_000], [1] * 50 + [7919] * 3 + [6193], [800] * 37 + [400]):
        ends = np.cumsum(sizes)
        assert ends[-1] == 30_000
        place, predictor = streamed(task, model, np.split(samples, ends[:-1]))
        place = predictor.ended(place)
        assert predictor.said(place)["output"] == whole.text
        assert "".join(one["text"] for one in place.final).replace(" ", "") == whole.text.replace(" ", "")
        chances = [w["score"] for one in place.final for w in one["words"]]
        assert chances == [w.score for w in task.answer(example, whole).words] or len(place.final) > 1


class Vowels:
    """A language model of units: an "a" is likelier behind a "b"."""

    def start(self):
        return ""

    def score(self, asked):
        return [((-0.3 if history != token else -2.0), token) for history, token in asked]

    def end(self, histories):
        return [-1.0 if history == "a" else -3.0 for history in histories]


@pytest.mark.parametrize("head", ["ctc", "transducer"])
@pytest.mark.parametrize("beside", [{}, {"lm": Fusion(Vowels(), "unit", 0.7, 0.4)}])
def test_a_beam_says_of_pieces_what_it_says_of_the_whole_and_nothing_final_changes(head, beside):
    plan = TranscriptionConfig(stack=1, scaling="none", step_ms=200.0).for_model(parts_of(head))
    values = np.random.default_rng(5).normal(size=(90, 4)).astype(np.float32)
    values[20:40] = values[60:75] = 0.0
    task = plan.fit([record(0, "ab", values)], "s.csv").with_options({"beam": 4, **beside})
    model = model_for(task, bidirectional=False, hidden_size=16)
    with torch.no_grad():
        model.head.output.weight *= 12 if head == "ctc" else 5
        model.head.output.bias[0] += 0.7
    example = task.example(record(0, "ab", values))
    (whole,) = task.predict(model, task.collate([example], [0]), [example])
    finals = []
    for sizes in ([90], [1] * 90, [7] * 12 + [6]):
        predictor = task.predictor(model)
        place, shown = predictor.begin(), ()
        for piece in np.split(values, np.cumsum(sizes)[:-1]):
            place, said = predictor.read(place, piece.tolist())
            assert tuple(said["final"][: len(shown)]) == shown
            shown = tuple(said["final"])
        place = predictor.ended(place)
        assert predictor.said(place)["output"] == whole.text
        finals.append(place.final)
    assert finals[0] == finals[1] == finals[2]
    assert len(shown) > 0  # something was final before the end
    assert len(whole.emitted.units) > 6


def test_a_beam_that_stays_at_odds_is_cut_where_as_much_again_has_come():
    task = task_for(scaling="none", step_ms=100.0).with_options({"beam": 2})  # half a minute is 150 steps
    predictor = task.predictor(model_for(task, bidirectional=False))
    logits = torch.full((400, 1, 4), -9.0)
    logits[:, :, 0] = 9.0
    logits[0, 0] = torch.tensor([-9.0, -9.0, 1.0, 0.9])  # an "a", or nearly as likely a "b"
    place = predictor.begin()
    for part in predictor._listener.parts({"logits": logits}):
        place = predictor._rested(replace(place, path=predictor._listener.grown(place.path, part), loudest=1.0))
        assert len(place.path.blank) <= 300
    assert [one["text"] for one in place.final] == ["a"]
    assert predictor.said(predictor.ended(place))["output"] == "a"


class Later:
    """A language model of units that finds out late: "aba" is likely, and "aa" is not."""

    def start(self):
        return ""

    def score(self, asked):
        return [
            ((-0.1 if history + token in ("a", "ab", "aba") else -5.0), history + token) for history, token in asked
        ]

    def end(self, histories):
        return [0.0] * len(histories)


def test_a_stretch_waits_for_what_a_longer_text_may_say_in_it():
    task = task_for(scaling="none", step_ms=100.0)  # a step is 0.2 s, a pause 4 steps
    task = task.with_options({"beam": 2, "lm": Fusion(Later(), "unit", 1.0, 3.0)})
    a, b = (task.units.spelling.index(unit) for unit in "ab")
    logits = torch.full((60, 1, 4), -9.0)
    logits[:, :, 0] = 9.0
    for t, unit in ((0, a), (20, a)):
        logits[t, 0, 0], logits[t, 0, unit] = -9.0, 9.0
    logits[2, 0, 0], logits[2, 0, b] = 4.0, 0.5  # a "b" that is hardly heard
    predictor = task.predictor(model_for(task, bidirectional=False))
    place = predictor.begin()
    for part in predictor._listener.parts({"logits": logits}):
        place = predictor._rested(replace(place, path=predictor._listener.grown(place.path, part), loudest=1.0))
    place = predictor.ended(place)
    assert [(one["text"], one["start"]) for one in place.final] == [("ab", 0.0), ("a", 4.0)]


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_a_beam_says_nothing_of_no_step(head):
    task = task_with(head, scaling="none").with_options({"beam": 2})
    predictor = task.predictor(model_for(task, bidirectional=False))
    assert predictor.said(predictor.ended(predictor.begin()))["output"] == ""
    if head == "ctc":
        place = predictor.begin()
        place.path.search.feed(np.log([0.1, 0.2, 0.3, 0.4]))  # said in a step that was cut off
        assert predictor.said(predictor.ended(place))["partial"] == ""


def test_what_stands_before_a_pause_is_final():
    task = task_for(scaling="none", step_ms=100.0)  # a step is 0.2 s, a pause 4 steps
    predictor = task.predictor(model_for(task, bidirectional=False))
    begun = predictor.begin()
    path = np.array([0] * 6 + [2, 0, 3] + [0] * 5 + [2, 0])
    for cuts in ([], [3, 9, 10], [8]):
        place = begun
        for part in np.split(path, cuts):
            whole = np.concatenate([place.path.best, part])
            place = predictor._rested(replace(place, path=Steps(whole, np.ones(len(whole))), loudest=1.0))
        assert [(one["text"], one["start"], one["end"]) for one in place.final] == [("ab", 1.2, 1.8)]
        said = predictor.said(place)
        assert (said["output"], said["partial"]) == ("aba", "a")
        assert predictor.ended(place).final[1]["start"] == pytest.approx(2.8)
        after, taken = predictor.taken(place)
        assert (taken["final"], taken["partial"]) == (list(place.final), "a")
        assert (after.final, after.settled) == ((), "")  # nothing of it is kept
        assert predictor.taken(predictor.ended(after))[1]["final"][0]["start"] == pytest.approx(2.8)


def test_a_stretch_without_a_pause_is_final_after_half_a_minute_whatever_the_pieces():
    task = task_for(scaling="none", step_ms=100.0)  # a step is 0.2 s, a pause 4 steps, half a minute 150
    predictor = task.predictor(model_for(task, bidirectional=False))
    path = np.array([2, 2, 0, 3] * 90)
    found = set()
    for cuts in ([], [1, 149, 150, 151, 300], list(range(1, 360))):
        place = predictor.begin()
        for part in np.split(path, cuts):
            whole, chances = np.concatenate([place.path.best, part]), np.ones(len(place.path.best) + len(part))
            place = predictor._rested(replace(place, path=Steps(whole, chances), loudest=1.0))
        assert predictor.said(place)["output"] == "ab" * 90
        found.add(tuple((one["text"], one["end"]) for one in place.final))
    # Steps 146 is the last blank of the first 150: the cut is behind it, and in front of a "b".
    ((first, second),) = found
    assert first == ("ab" * 36 + "a", 29.2)
    assert second[0][:3] == "bab"


def test_one_unit_that_is_said_for_minutes_is_one():
    task = task_for(scaling="none", step_ms=100.0)
    predictor = task.predictor(model_for(task, bidirectional=False))
    path = np.array([2] * 400 + [0] * 5)
    place = predictor.begin()
    for part in np.split(path, [100, 151, 399]):
        whole, chances = np.concatenate([place.path.best, part]), np.ones(len(place.path.best) + len(part))
        place = predictor._rested(replace(place, path=Steps(whole, chances), loudest=1.0))
    assert predictor.said(predictor.ended(place))["output"] == "a"


def test_the_words_of_an_hour_take_as_long_as_their_letters():
    task = task_for()
    units = task.units
    numbers = tuple(units.numbers("ab a" * 9_000)[0])
    n = len(numbers)
    said = Emitted(numbers, tuple(range(n)), tuple(range(1, n + 1)), (1.0,) * n, 0, n)
    begun = time.process_time()
    words = units.words(said, 0.01)
    assert " ".join(word.word for word in words) == units.text(numbers)
    assert time.process_time() - begun < 2.0  # joining all that came before for each unit takes a minute


def test_a_stretch_of_spaces_alone_is_none():
    task = task_for(step_ms=100.0, scaling="none")
    predictor = task.predictor(model_for(task, bidirectional=False))
    space = task.units.units.index(" ") + 1
    path = np.array([space, 0, 0, 0, 0, 0, space])
    place = predictor._rested(replace(predictor.begin(), path=Steps(path, np.ones(len(path))), loudest=1.0))
    assert predictor.ended(place).final == ()


def test_what_needs_the_end_of_a_recording_cannot_be_streamed():
    task = task_for(deltas=1)
    with pytest.raises(ConfigError) as refusal:
        task.predictor(model_for(task))
    said = "\n".join(refusal.value.problems)
    for reason in ("bidirectional: false", "task.scaling: utterance", "task.deltas"):
        assert reason in said


def test_a_session_has_no_end_for_which_an_encoder_that_sees_ahead_could_wait():
    task = task_for(scaling="running")
    encoder = {"name": "chunked", "hidden_size": 8, "num_heads": 2}
    model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head="ctc").eval()
    with pytest.raises(ConfigError, match=r"waits for steps that come later.*; take recurrent"):
        task.predictor(model)
    assert task.listener(model).waits == pytest.approx(19 * task.reader.seconds)


def test_features_come_in_pieces_too():
    task = task_for(scaling="running")
    model = model_for(task, bidirectional=False)
    predictor = task.predictor(model)
    place = predictor.begin()
    for part in np.split(FRAMES[0], [1, 8]):
        place, said = predictor.read(place, json.dumps(part.tolist()))
    example = task.example(record(0))
    (whole,) = task.predict(model, task.collate([example], [0]), [example])
    assert said["output"] == whole.text
    assert said["seconds"] == pytest.approx(0.2)
    with pytest.raises(DataError, match="has 2 numbers a frame"):
        predictor.read(place, "[[1, 2]]")


def test_a_beam_sums_the_paths_of_a_text_and_other_options_are_refused():
    task = task_for()
    # .398 (.398 + 2 .6) = .636 beside .36: "a" is more probable than nothing, though the best path is all blanks.
    logits = torch.log(torch.tensor([[0.6, 0.001, 0.398, 0.001], [0.6, 0.001, 0.398, 0.001]])).unsqueeze(1)

    def found(some: Transcription) -> tuple[int, ...]:
        batch = task.collate([], [])
        return some.method.search(model, batch, {"logits": logits}, torch.tensor([2]), some.decoding)[0].units

    model = model_for(task)
    assert found(task) == ()
    assert found(task.with_options({"beam": 4})) == (2,)
    for options, said in (({"beam": 0}, "from 1 to 1000"), ({"n_best": 2}, "n_best: has no effect")):
        with pytest.raises(ConfigError, match=said):
            task.with_options(options)


def test_a_floor_keeps_digital_silence_from_ruling_the_scales(tmp_path: Path):
    values = np.concatenate([np.full((6, 4), -16.0), FRAMES[0]]).astype(np.float32)
    for scaling in ("utterance", "training", "running"):
        task = TranscriptionConfig(scaling=scaling, stack=1, floor=-1.0).fit([record(0, values=values)], "s.csv")
        raised = TranscriptionConfig(scaling=scaling, stack=1).fit([record(0, values=np.maximum(values, -1))], "s.csv")
        found = task.example(record(0, values=values)).values()[0]
        np.testing.assert_array_equal(found, raised.example(record(0, values=np.maximum(values, -1))).values()[0])
        assert task.plan.restore(json.loads(json.dumps(task.to_json())), "run").reader.floor == -1.0


def test_digital_silence_in_a_recording_is_named(tmp_path: Path):
    room = pytest.importorskip("sound_room", reason="soundfile is not installed")
    samples = np.concatenate([np.zeros(900), room.tone(400, 4000)])
    file = room.put(tmp_path / "a.wav", samples)
    row = Record({"audio": str(file), "text": "ab"}, Origin("s.csv", 2))
    for floor, named in ((None, True), (5.0, False)):
        task = TranscriptionConfig(sound={"name": "kaldi", "rate": 8000}, floor=floor).fit([row], "s.csv")
        _, notes = task.filter([task.example(row)], "train")
        assert any("digital silence" in note for note in notes) == named


@pytest.mark.parametrize("number", [30, 5_000])
def test_init_writes_a_head_that_was_asked_for(number):
    rows = [record(0, "NO YES NO") for _ in range(20)]
    found = {
        head: {
            c.path.removeprefix("model."): c.value
            for c in TranscriptionConfig.sized({"audio": "audio", "text": "text"}, Seen(rows, number, head))
        }
        for head in ("ctc", "transducer", "attention")
    }
    width = found["ctc"]["encoder.hidden_size"]
    assert found["transducer"]["head.joint_size"] == found["attention"]["head.decoder"]["hidden_size"] == width
    assert found["ctc"].get("head.blank_share") == (0.95 if number == 30 else None)
    for head in ("transducer", "attention"):
        assert found[head]["head.blank_share"] == (0.95 if number == 30 else 0.9)
    assert found["attention"]["head.ctc"] == 0.5


def test_words_that_are_said_often_are_units_and_few_recordings_begin_on_the_blank():
    def chosen(text: str, number: int) -> dict[str, Any]:
        rows = [record(0, text) for _ in range(20)]
        return {
            c.path: c.value for c in TranscriptionConfig.sized({"audio": "audio", "text": "text"}, Seen(rows, number))
        }

    often, seldom = chosen("NO YES NO", 30), chosen(" ".join(f"w{n}" for n in range(40)), 5_000)
    assert often["task.tokenizer"] == {"name": "spaces"}
    assert often["model.head.blank_share"] == 0.95
    assert often["training.select"] == "unit_nats"
    assert not {"task.tokenizer", "model.head.blank_share", "training.select"} & set(seldom)


def test_steps_are_many_enough_for_the_letters_and_too_few_are_named():
    def stack(text: str) -> Any:
        choices = TranscriptionConfig.sized({"audio": "audio", "text": "text"}, Seen([record(0, text)] * 3, 5_000))
        return {c.path: c.value for c in choices}.get("task.stack")

    # 20 frames: of 2 letters there are 10 each, of 3 there are 6.7, of 9 there are 2.2, each of which wants 3 steps.
    assert [stack(text) for text in ("ab", "abc", "abcdefghi")] == [None, 2, 1]
    for text, named in (
        ("ab", ""),
        ("abcd", "2.5 steps for a unit, pauses among them: so few lose units that are said fast. Set task.stack: 1"),
    ):
        task = TranscriptionConfig(stack=2).fit([record(0, text)], "s.csv")
        _, notes = task.filter([task.example(record(0, text))], "train")
        assert any("steps for a unit" in note for note in notes) == bool(named)
        assert any(named in note for note in notes)


def test_init_takes_the_floor_from_the_sounds_but_no_lower_than_noise_of_one_step(tmp_path: Path):
    room = pytest.importorskip("sound_room", reason="soundfile is not installed")

    def floor(name: str, level: float) -> float:
        path = room.put(tmp_path / name, level * RNG.normal(size=8000), rate=8000)
        row = Record({"audio": str(path), "text": "ab"}, Origin("s.csv", 2))
        return float(TranscriptionConfig.suggested([row], tmp_path / "s.csv").task["floor"])

    numbers = build({"name": "kaldi", "rate": 8000, "bands": 40}, SPECTRA)
    path = room.put(tmp_path / "again.wav", 0.1 * np.random.default_rng(3).normal(size=8000), rate=8000)
    raw = decoded(sound_of(str(path), Origin("s.csv", 2), "audio"), numbers)[0]
    assert abs(floor("loud.wav", 0.1) - np.quantile(raw, 0.05)) < 0.5
    assert floor("quiet.wav", 1e-9) == 5.0


def test_the_head_begins_with_the_share_of_the_blank_that_was_asked():
    head = CtcHead(6, {"units": 5}, None, blank_share=0.9)
    biases = head.output.bias.detach().double().numpy()
    shares = np.exp(biases) / np.exp(biases).sum()
    np.testing.assert_allclose(shares, [0.9, 0.025, 0.025, 0.025, 0.025], rtol=1e-6)
    assert CtcHead(6, {"units": 5}, None).output.bias.abs().min() > 0


def test_what_stands_before_a_cut_through_a_unit_ends_at_the_cut():
    task = task_for(scaling="none", step_ms=100.0).with_options({"beam": 2})
    listener = task.method.listener(model_for(task, bidirectional=False), task.decoding)
    logits, path = torch.full((6, 1, 4), -9.0), listener.begin()
    logits[:5, 0, 2] = logits[5, 0, 0] = 9.0  # one unit, five steps long
    for part in listener.parts({"logits": logits}):
        path = listener.grown(path, part)
    assert (path.said().starts, path.said().ends) == ((0,), (5,))
    before, after = path.cut(3)
    assert (before.said().units, before.said().starts, before.said().ends) == ((2,), (0,), (3,))
    assert (len(after.frames), tuple(after.units())) == (3, ())


def test_a_stream_of_ctc_places_words_as_if_what_is_left_out_at_its_end_were_said() -> None:
    stream, said = PrefixStream(Texts(("", " a", "a", "b"), lexicon={"aab", "abba"}), 1), np.full((5, 4), 0.025)
    said[range(5), [1, 2, 3, 1, 3]] = 0.925
    path = Prefixes(stream, list(np.log(said)), said.argmax(1).tolist())
    for y in path.frames:
        stream.feed(y)
    heard = path.ended().said()
    assert (heard.units, heard.starts, heard.ends, heard.blanks) == ((1, 2, 3), (0, 1, 2), (1, 2, 3), 2)
