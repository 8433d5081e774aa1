"""Music: chords read and written, batches, scores and baselines against sums by hand, pieces that go on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.models_room import chords
from recurra.base.contracts import Batch, Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.models import SequenceModel
from recurra.tasks import GenerationOptions, Music, MusicConfig
from recurra.tasks.music.chords import chords_of, note_name, written
from recurra.tasks.music.scoring import Frequencies, foreseen, music_scores, step_nats

PIECES = ("C4+E4+G4 D4+F4 - 72", "60 62 64", "-", "C4+G4 C4+G4 B3+G4 C4+E4+G4 C4")


def record(chords: Any, line: int = 1) -> Record:
    return Record({"chords": chords}, Origin("a.jsonl", line))


def fitted(**options: Any) -> Music:
    return MusicConfig(**options).fit([record(piece) for piece in PIECES], "a.jsonl")


def model_for(task: Music, **options: Any) -> SequenceModel:
    torch.manual_seed(0)
    return chords(*task.model_sizes.values(), **{"hidden_size": 7, **options}).eval()


# -- reading and writing -----------------------------------------------------------------------------------------------


def test_names_numbers_and_lists_are_the_same_chords() -> None:
    expected = ((60, 64, 67), (61, 70), (), (0,))
    assert chords_of(record("C4+E4+G4 Db4+A#4 - C-1"), "chords") == expected
    assert chords_of(record("67+64+60+60 70+61 - 0"), "chords") == expected
    assert chords_of(record([[60, 64, 67], [70, 61, 61], [], [0]]), "chords") == expected
    assert chords_of(record(written(expected)), "chords") == expected
    assert [note_name(n) for n in (21, 60, 69, 108, 127)] == ["A0", "C4", "A4", "C8", "G9"]


@pytest.mark.parametrize(
    ("chords", "sentence"),
    [
        ("C4 H4", r"a.jsonl:1: column 'chords', step 2: 'H4' is no note; expected a name such as C4"),
        ("C4+", r"step 1: '' is no note"),
        ("128", r"step 1: '128' is no note; expected a MIDI number from 0 to 127"),
        ("G#9", r"step 1: 'G#9' is no note; expected a MIDI number from 0 to 127"),
        ([[60], 62], r"step 2: is 62, expected a list of notes"),
        ([[60.5]], r"step 1: 60.5 is no note"),
        ([[True]], r"step 1: True is no note"),
        (7, r"column 'chords' holds 7, expected chords such as"),
        ("- " * 100_001, r"has 100,001 steps, expected at most 100,000"),
    ],
)
def test_what_is_no_chord_is_named_with_its_step(chords: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        chords_of(record(chords), "chords")


def test_notes_that_the_options_leave_out_and_empty_pieces_are_refused() -> None:
    plan = MusicConfig(lowest=60, highest=72)
    with pytest.raises(
        DataError, match=r"a.jsonl:3: column 'chords', step 2: B3 \(59\) is not in 60..72; set task.low"
    ):
        plan.read(record("C4 B3", 3))
    with pytest.raises(DataError, match="is empty, expected chords"):
        plan.read(record([]))
    with pytest.raises(ConfigError, match="highest: is 50, under lowest, 60"):
        MusicConfig(lowest=60, highest=50)


def test_the_column_of_chords_is_found() -> None:
    rows = [Record({"id": 7, "title": "Sleep", "notes": "C4 D4"}, Origin("a.csv", 2))]
    assert MusicConfig.suggested(rows, "a.csv").task == {"chords": "notes"}  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no column holds chords; its columns are 'title'"):
        MusicConfig.suggested([Record({"title": "Sleep"}, Origin("a.csv", 2))], "a.csv")  # type: ignore[arg-type]


# -- the five verbs ----------------------------------------------------------------------------------------------------


def test_a_step_hears_the_chord_before_it_and_must_say_its_own() -> None:
    task = fitted(lowest=59, highest=72)
    examples = [task.example(record(piece)) for piece in PIECES[:2]]
    batch = task.collate(examples, (5, 6))
    notes, targets = batch.inputs["features"], batch.targets["notes"]
    assert notes.shape == targets.shape == (4, 2, 14)
    assert batch.lengths.tolist() == [4, 3]
    assert torch.nonzero(targets[0, 0])[:, 0].tolist() == [1, 5, 8]
    assert not notes[0].any()
    assert torch.equal(notes[1:, 0], targets[:-1, 0])
    assert torch.equal(notes[1:3, 1], targets[:2, 1])


def test_the_loss_is_the_sum_over_notes_and_counts_steps() -> None:
    task = fitted()
    examples = [task.example(record(piece)) for piece in PIECES]
    batch = task.collate(examples, range(4))
    logits = torch.randn(5, 4, 88, generator=torch.Generator().manual_seed(1))
    loss = task.loss(Prediction({"logits": logits}), batch)
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    expected = 0.0
    for n, e in enumerate(examples):
        for t, chord in enumerate(e.chords):
            for note in range(21, 109):
                q = p[t, n, note - 21]
                expected -= math.log(q if note in chord else 1 - q)
    assert loss.count == 4 + 3 + 1 + 5
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_piece_alone_is_the_piece_in_a_batch_whatever_the_padding_holds(cell: str) -> None:
    task = fitted()
    model = model_for(task, cell=cell, num_layers=2)
    examples = [task.example(record(piece)) for piece in PIECES]
    batch = task.collate(examples, range(4))
    for n, length in enumerate(batch.lengths.tolist()):
        batch.inputs["features"][length:, n] = math.nan
    with torch.inference_mode():
        together = task.predict(model, batch, examples)
        alone = [task.predict(model, task.collate([e], (0,)), [e])[0] for e in examples]
    for one, other in zip(together, alone, strict=True):
        assert one.nats == pytest.approx(other.nats, rel=1e-6)
        assert (one.hits, one.misses) == (other.hits, other.misses)
    loss = task.loss(model(batch), batch)
    assert float(loss.total.detach()) == pytest.approx(sum(math.fsum(o.nats) for o in alone), rel=1e-5)


def test_scores_are_means_over_all_steps_and_frame_accuracy_counts_notes() -> None:
    found = {s.name: s.value for s in music_scores([[4.0, 1.0, 1.0], [2.0]], [3, 1], [1, 3], split="test")}
    assert found == {"nats_per_step": 2.0, "nats_after_first": 1.0, "frame_accuracy": 0.5}
    roll, p = np.array([[1.0, 0.0, 1.0]]), np.array([[0.9, 0.8, 0.2]])
    assert foreseen(roll, p) == (1, 2)
    assert step_nats(roll, p)[0] == pytest.approx(-math.log(0.9 * 0.2 * 0.2))


def test_counted_frequencies_are_those_of_training() -> None:
    rolls = [np.array([[1.0, 0], [1, 1], [0, 1]]), np.array([[0.0, 0], [1, 0]])]
    often = Frequencies(rolls, 0).probabilities(rolls[0])
    assert often.tolist() == [[3.5 / 6, 2.5 / 6]] * 3
    # Note 0 after itself: sounds once of two; after a step without it: once of one. Note 1: once of one; once of two.
    after = Frequencies(rolls, 1).probabilities(np.array([[1.0, 0], [1, 0]]))
    assert after[0].tolist() == [1.5 / 3, 0.5 / 3]
    assert after[1].tolist() == [1.5 / 3, 1.5 / 3]


def test_baselines_have_the_models_scores() -> None:
    task = fitted()
    examples = [task.example(record(piece)) for piece in PIECES]
    compared = task.baselines(examples, {"test": examples})
    names = [s.name for s in task.possible_scores(examples)]
    assert {word: [s.name for s in scores] for word, scores in compared.scores.items()} == {
        "frequency": names,
        "after itself": names,
    }


# -- writing on --------------------------------------------------------------------------------------------------------


def test_each_chord_that_is_written_has_the_probability_of_a_whole_run() -> None:
    task = fitted(lowest=59, highest=72)
    model = model_for(task)
    pieces = list(task.writer(model).write("C4 E4+G4", GenerationOptions(length=5, seed=3)))
    text = "C4 E4+G4" + "".join(p.text for p in pieces)
    example = task.example(record(text))
    with torch.inference_mode():
        (heard,) = task.predict(model, task.collate([example], (0,)), [example])
    assert [-p.log_prob for p in pieces] == pytest.approx(heard.nats[2:], rel=1e-5)
    assert [p.ended for p in pieces] == [False] * 4 + [True]


def test_the_same_seed_writes_the_same_piece_and_temperature_zero_the_likely_notes() -> None:
    task = fitted(lowest=59, highest=72)
    writer = task.writer(model_for(task))
    one, two, other = (writer.sample("", temperature=1.0, seed=s, length=8) for s in (1, 1, 2))
    assert one == two != other
    assert len(chords_of(record(one), "chords")) == 8
    sure = model_for(task)
    with torch.no_grad():
        sure.head.output.weight.zero_()
        sure.head.output.bias.copy_(torch.tensor([-9.0] + [9.0] * 2 + [-9.0] * 11))
    assert task.writer(sure).sample("", temperature=0, seed=0, length=2) == "C4+C#4 C4+C#4"


@pytest.mark.parametrize(
    ("prompt", "options", "sentence"),
    [
        ("", {"length": 0}, "length: expected a whole number from 1"),
        ("", {"temperature": -1.0}, "temperature: expected at least 0, got -1"),
        ("", {"temperature": math.nan}, "temperature: expected at least 0, got nan"),
        ("", {"temperature": math.inf}, "temperature: expected at least 0, got inf"),
        ("", {"top_p": 0.5, "stop": "C4"}, "top_p: has no effect on music.*\nstop: has no effect on music"),
        ("A0", {}, r"prompt: A0 \(21\) is not in 59..72"),
        ("zz", {}, "step 1: 'zz' is no note"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(prompt: str, options: dict[str, Any], sentence: str) -> None:
    task = fitted(lowest=59, highest=72)
    with pytest.raises((ConfigError, DataError), match=sentence):
        task.writer(model_for(task)).write(prompt, GenerationOptions(**options))


def test_chords_goes_on_from_a_state_as_in_one_run() -> None:
    task = fitted()
    model = model_for(task, num_layers=2)
    x = (torch.rand(6, 2, 88, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    whole = model(Batch({"features": x}, torch.tensor([6, 6]), {}, ())).outputs
    first = model(Batch({"features": x[:4]}, torch.tensor([4, 4]), {}, ())).outputs
    states = {name: value for name, value in first.items() if name.startswith("state.")}
    second = model(Batch({"features": x[4:], **states}, torch.tensor([2, 2]), {}, ())).outputs
    assert torch.equal(torch.cat([first["logits"], second["logits"]]), whole["logits"])
    assert all(torch.equal(second[name], whole[name]) for name in states)


def test_a_run_of_other_notes_is_refused_and_dropout_without_layers_too() -> None:
    task = fitted()
    assert MusicConfig().restore(task.to_json(), "task.json").model_sizes == {"features": 88}
    with pytest.raises(RunError, match=r"task.json: expected music of the notes 30..108"):
        MusicConfig(lowest=30).restore(task.to_json(), "task.json")
    with pytest.raises(ConfigError, match="dropout: acts between layers, and there is one"):
        chords(88, dropout=0.2)


def test_a_piece_ends_where_the_learned_positions_do() -> None:
    task = fitted()
    encoder = {"name": "transformer", "causal": True, "hidden_size": 8, "num_heads": 2, "positions": "learned",
               "max_positions": 6}  # fmt: skip
    model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head="notes").eval()
    pieces = list(task.writer(model).write("C4 E4+G4", GenerationOptions(length=9)))
    assert [p.ended for p in pieces] == [False] * 3 + [True]


def test_a_part_that_is_in_evaluation_stays_in_it_behind_what_is_written() -> None:
    task = fitted()
    model = model_for(task, num_layers=2, dropout=0.5).train()
    model.head.eval()
    list(task.writer(model).write("C4", GenerationOptions(length=1)))
    assert {module for module in model.modules() if not module.training} == set(model.head.modules())
