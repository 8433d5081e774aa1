"""`recurra inspect` on every task it knows: what it says is what `predict` says, and what it adds up, adds up."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from api.api_room import done, refused, rows, write_config, write_csv
from recurra import api
from recurra.api import Inspection, OpenRun
from recurra.api.callbacks import NoCallback
from recurra.api.inspecting import points_for
from recurra.api.places import RunFolder
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.tasks.explanation import entry_of, tree

TEXT = "lovely item b3"
SONG = "C4+E4+G4 - 62+E4 D4"
TEXTS = {"played": SONG}
MUSIC = """
task: {name: music, lowest: 59, highest: 67}
data: {train: m.csv}
model: {encoder: {hidden_size: 3, num_layers: 2}}
"""


def made(**sections: Mapping[str, Any]) -> OpenRun:
    """A run that has learned nothing, for what is in the folder: only its weights would be others."""
    return opened(write_config(**sections))


def opened(config: Path) -> OpenRun:
    """The same of a config file."""
    settings = read_settings(config)
    task = prepare(settings, NoCallback()).task
    return OpenRun(RunFolder(Path("made")), settings, task, settings.model(task.model_sizes), "")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, OpenRun]]:
    """A run for each task, by name; we are in a folder of their data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("inspected"))
        write_csv(Path("data.csv"), rows())
        Path("many.csv").write_text("text,label\n" + "".join(f"{t},{label}|x\n" for t, label in rows()), "utf-8")
        Path("d.tsv").write_text("source\ttarget\n" + "".join(f"{t}\t{t[0]} {y[0]}\n" for t, y in rows()), "utf-8")
        sentences = ("\n".join(f"{word} {'B-X' if word == 'item' else 'O'}" for word in t.split()) for t, _ in rows())
        Path("t.conll").write_text("\n\n".join(sentences) + "\n", "utf-8")
        Path("t.txt").write_text("".join(f"{text}\n" for text, _ in rows()), "utf-8")
        Path("m.csv").write_text("chords\n" + "".join(f"{60 + k % 5} C4+E4 {k % 7 + 60}\n" for k in range(40)), "utf-8")
        Path("m.yaml").write_text(MUSIC, "utf-8")
        pairs = {"task": {"name": "translation", "scores": "exact"}, "data": {"train": "d.tsv"}}
        backwards = {"encoder": {"bidirectional": False, "reverse": True}, "decoder": {"attention": "none"}}
        yield {
            "classified": made(model={"encoder": {"bidirectional": True, "num_layers": 2}}),
            "many": made(task={"labels": "many", "separator": "|"}, data={"train": "many.csv"}),
            "attending": made(**pairs, model={"encoder": {"bidirectional": True}}),
            "reversed": made(**pairs, model=backwards),
            "copying": made(**pairs, model={"decoder": {"copying": True}}),
            "tagged": made(
                task={"name": "tagging"},
                data={"train": "t.conll", "columns": ["token", "tag"]},
                model={"inputs": {"characters": "lstm"}},
            ),
            "speaking": made(
                task={"name": "language_model"}, data={"train": "t.txt"}, model={"encoder": {"hidden_size": 3}}
            ),
            "played": opened(Path("m.yaml")),
        }


EVERY = ("classified", "many", "attending", "reversed", "copying", "tagged", "speaking", "played")


def read(found: Inspection) -> list[str]:
    """What the titles and axes of all maps, tables and lines say."""
    return [word for m in found.pictures for word in (m.title, *m.rows, *m.columns)]


@pytest.mark.parametrize("name", EVERY)
def test_the_answer_is_that_of_predict_and_the_saliency_is_complete(name: str, runs: Mapping[str, OpenRun]) -> None:
    text = TEXTS.get(name, TEXT)
    found = api.inspect(runs[name], text)
    field = runs[name].settings.plan.inputs[0].name
    (predicted,) = api.predict(runs[name], [Record({field: text}, Origin("here"))])
    assert found.answer.keys() == predicted.keys()
    for key, value in predicted.items():
        assert found.answer[key] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)
    # float32: sums of a few hundred numbers of about one.
    assert found.saliency.gap == pytest.approx(0.0, abs=1e-4)
    assert len(found.saliency.steps) == len(found.tokens)
    assert not runs[name].model.training


def test_a_label_is_explained_by_its_probability(runs: Mapping[str, OpenRun]) -> None:
    found = api.inspect(runs["classified"], TEXT)
    assert found.meaning == f"the probability of '{found.answer['label']}'"
    assert found.saliency.whole == pytest.approx(found.answer["score"], abs=1e-6)
    assert found.tokens == ("lovely", "item", "b3")
    assert [table.caption for table in found.tables] == ["Labels"]


def test_layers_and_directions_have_maps_over_the_tokens(runs: Mapping[str, OpenRun]) -> None:
    maps = {one.title: one for one in api.inspect(runs["classified"], TEXT).pictures}
    for layer in (1, 2):
        for way in ("forward", "backward"):
            gates = maps[f"Gates, mean over units: encoder.recurrent {layer}, {way}"]
            assert (gates.rows, gates.columns) == (("i", "f", "o"), ("lovely", "item", "b3"))
            assert all(0 < value < 1 for row in gates.weights for value in row)
            assert f"States h: encoder.recurrent {layer}, {way}" in maps


def test_a_translation_has_attention_and_the_beam_as_a_tree(runs: Mapping[str, OpenRun]) -> None:
    found = api.inspect(runs["attending"], TEXT)
    (attention,) = found.maps
    assert attention.columns == ("lovely", "item", "b3")
    assert [sum(row) for row in attention.weights] == pytest.approx([1.0] * len(attention.rows), abs=1e-5)
    decoder = next(one for one in found.gates if one.title.endswith("decoder.recurrent"))
    assert decoder.columns[0] == "<bos>"
    assert found.lines[0] == "Hypotheses that the beam kept, with their probabilities:"
    assert len(found.lines) > 2
    assert api.inspect(runs["reversed"], TEXT).maps == ()


def test_a_source_that_is_read_backwards_is_explained_in_its_own_order(runs: Mapping[str, OpenRun]) -> None:
    """Only the last token is another one, and the encoder reads it first: the states after it differ from step one."""
    run = runs["reversed"]
    found = api.inspect(run, TEXT)
    assert found.tokens == ("lovely", "item", "b3")
    encoder = next(one for one in found.gates if one.title.endswith("encoder.recurrent"))
    assert encoder.columns == ("b3", "item", "lovely")
    with torch.no_grad():
        run.model.inputs.embedding.weight[run.task.sides.source.vocabulary.ids(["b3"])[0]] = 0.0
    steps = api.inspect(run, TEXT).saliency.steps
    assert steps[2] == 0.0  # a token whose vector is zero adds nothing
    assert 0.0 not in steps[:2]


def test_each_word_of_a_tagging_has_its_other_tags(runs: Mapping[str, OpenRun]) -> None:
    found = api.inspect(runs["tagged"], TEXT)
    (table,) = found.tables
    assert table.caption == "Tags of each word"
    assert tuple(row[0] for row in table.rows) == found.tokens == ("lovely", "item", "b3")
    for _, *tags in table.rows:
        shares = [float(str(one).split()[1].rstrip("%")) for one in tags]
        assert shares == sorted(shares, reverse=True)
        assert 99.8 < sum(shares) < 100.2  # there are two tags
    assert not any("characters" in word for word in read(found))  # letters are no tokens


def test_each_token_of_a_language_model_has_its_loss(runs: Mapping[str, OpenRun]) -> None:
    found = api.inspect(runs["speaking"], TEXT)
    (table,) = found.tables
    assert [row[0] for row in table.rows] == ["lovely", "item", "b3", "⏎"]
    nats = [float(row[2]) for row in table.rows]
    assert sum(nats) == pytest.approx(-found.answer["log_prob"], abs=0.02)
    shares = [float(str(row[1]).rstrip("%")) / 100 for row in table.rows]
    assert shares == pytest.approx([math.exp(-n) for n in nats], abs=6e-3)
    assert found.saliency.whole == pytest.approx(-nats[-1], abs=6e-3)
    assert found.tokens == ("<start>", "lovely", "item", "b3")


def test_music_has_the_notes_that_came_beside_those_that_were_expected(runs: Mapping[str, OpenRun]) -> None:
    """The output layer says the same at each step, so nats are known: C4 and G4 0.9, F4 0.3, others 0.1."""
    run = copy.deepcopy(runs["played"])
    with torch.no_grad():
        run.model.head.output.weight.zero_()
        odds = [{60: 9.0, 67: 9.0, 65: 3 / 7}.get(note, 1 / 9) for note in range(59, 68)]
        run.model.head.output.bias.copy_(torch.tensor(odds).log())
    found = api.inspect(run, SONG)
    came, expected, nats = found.maps
    assert came.columns == expected.columns == nats.columns == ("1", "2", "3", "4")
    # F4 never came, and was probable; D#4 neither came nor was.
    assert came.rows == expected.rows == ("G4", "F4", "E4", "D4", "C4")
    assert came.weights == ((1, 0, 0, 0), (0, 0, 0, 0), (1, 0, 1, 0), (0, 0, 1, 1), (1, 0, 0, 0))
    for row, chance in zip(expected.weights, (0.9, 0.3, 0.1, 0.1, 0.9), strict=True):
        assert row == pytest.approx([chance] * 4, abs=1e-6)
    # Each note but F4 costs log(10/9) where it is foreseen, else log(10); F4 costs log(1/0.7) at each step.
    cost = [8 * math.log(10 / 9) + wrong * math.log(9) - math.log(0.7) for wrong in (1, 2, 4, 3)]
    assert nats.weights[0] == pytest.approx([one / max(cost) for one in cost], rel=1e-5)
    assert nats.title == f"Nats of each step, beside the largest, {max(cost):.2f}"
    (table,) = found.tables
    assert table.columns == ("step", "chord", "expected", "nats")
    chords = ("C4+E4+G4", "-", "D4+E4", "D4")
    assert table.rows == tuple((str(k + 1), chords[k], "C4+G4", f"{cost[k]:.2f}") for k in range(4))
    assert found.saliency.whole == pytest.approx(-cost[3], rel=1e-5)
    assert found.saliency.steps == (0.0,) * 4  # the output hears nothing
    assert found.saliency_maps == ()


def test_what_is_expected_at_a_step_is_what_a_piece_that_ends_there_has(runs: Mapping[str, OpenRun]) -> None:
    run = runs["played"]
    (expected,) = (m for m in api.inspect(run, SONG).maps if m.title.startswith("Notes that were expected"))
    for end in (1, 2, 3, 4):
        piece = run.task.example(Record({"chords": " ".join(SONG.split()[:end])}, Origin("here")))
        batch = run.task.collate([piece], (0,))
        chances = run.model(batch).outputs["logits"][-1, 0].sigmoid().tolist()
        names = dict(zip(range(59, 68), chances, strict=True))
        shown = {row: weights[end - 1] for row, weights in zip(expected.rows, expected.weights, strict=True)}
        assert shown["E4"] == pytest.approx(names[64], abs=1e-6)
        assert shown["C4"] == pytest.approx(names[60], abs=1e-6)


def test_each_note_of_a_piece_adds_a_part_and_silence_is_nothing(runs: Mapping[str, OpenRun]) -> None:
    run = copy.deepcopy(runs["played"])
    with torch.no_grad():
        run.model.encoder.recurrent.weight_ih_l0[:, 64 - 59] = 0.0  # E4 is not heard
    found = api.inspect(run, SONG)
    assert found.tokens == ("<start>", "1:C4+E4+G4", "2:-", "3:D4+E4")
    assert found.meaning == "the log-probability of the last chord, 'D4'"
    assert list(found.parts) == ["G4", "D4", "C4"]
    heard = {name: [k for k, value in enumerate(values) if value] for name, values in found.parts.items()}
    assert heard == {"G4": [1], "D4": [3], "C4": [1]}
    sums = [math.fsum(column) for column in zip(*found.parts.values(), strict=True)]
    assert found.saliency.steps == pytest.approx(sums, abs=1e-12)
    for text, score in ((SONG, found.saliency.whole), ("- - - D4", found.saliency.nothing)):
        (table,) = api.inspect(run, text).tables
        assert float(str(table.rows[3][3])) == pytest.approx(-score, abs=6e-3)
    (drawn,) = found.saliency_maps
    assert (drawn.rows, drawn.columns) == (("G4", "D4", "C4"), found.tokens)
    assert max(abs(value) for row in drawn.weights for value in row) == pytest.approx(1.0)
    layers = [m for m in found.gates if m.title.startswith("Gates, mean over units: encoder.recurrent ")]
    assert [m.columns for m in layers] == [("<start>", "1", "2", "3")] * 2


def test_music_is_inspected_chord_by_chord_and_its_mistakes_are_named(runs: Mapping[str, OpenRun]) -> None:
    report = api.inspect(runs["played"], SONG).report("t")
    assert any(table.columns == ("chord", "adds") for table in report.tables)
    assert "the chords together add" in report.facts
    maps = api.inspect(runs["played"], "C4 D4 " * 40).maps
    assert [(m.title.split()[2].strip(",:"), m.title.rpartition(", ")[2]) for m in maps[:4]] == [
        ("came", "steps 1-60"),
        ("were", "steps 1-60"),
        ("came", "steps 61-80"),
        ("were", "steps 61-80"),
    ]
    assert [len(m.columns) for m in maps] == [60, 60, 20, 20, 60, 20]
    with pytest.raises(DataError, match="so there is nothing to inspect"):
        api.inspect(runs["played"], "")
    with pytest.raises(DataError, match=r"step 2: A0 \(21\) is not in 59..67"):
        api.inspect(runs["played"], "C4 A0")


def test_a_long_text_is_explained_too(runs: Mapping[str, OpenRun]) -> None:
    assert [points_for(number) for number in (1, 200, 400, 1000)] == [64, 64, 32, 12]
    found = api.inspect(runs["classified"], "lovely item " * 400)
    assert len(found.saliency.steps) == 800
    assert found.saliency.gap == pytest.approx(0.0, abs=1e-3)
    assert len([m for m in found.gates if "steps 61-120" in m.title]) == 4


def test_a_page_a_picture_lines_and_json(run: Path) -> None:
    said = done("inspect", run, TEXT, "--html", "i.html", "--png", "i.png")
    page = Path("i.html").read_text("utf-8")
    assert "Inside the model" in page
    assert "<script" not in page
    assert Path("i.png").read_bytes().startswith(b"\x89PNG")
    assert "What each token adds to the probability of" in said.out
    assert "Gates, mean over units: encoder.recurrent" in said.out
    found = done("inspect", run, TEXT, "--json").json
    assert [one["token"] for one in found["saliency"]] == ["lovely", "item", "b3"]
    total = sum(one["adds"] for one in found["saliency"])
    # Its pooling takes the largest: a function with corners, which a rule for smooth ones meets to a hundredth.
    assert total == pytest.approx(found["with_the_text"] - found["without"], rel=0.02)


def test_control_characters_of_a_text_do_not_reach_the_terminal(run: Path) -> None:
    said = done("inspect", run, "lovely \x1b[31m item")
    assert "\x1b" not in said.out + said.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", ""], "the text '' holds no token, so there is nothing to inspect"),
        (["run", "  \t "], "holds no token"),
        (["run", "a " * 1001], "the text has 1,001 tokens, expected at most 1,000. Cut it."),
        (["nowhere", "a"], "nowhere: no such folder; expected a run"),
        (["broken", "a"], "not a run folder"),
        (["run", "a", "--html", "x.htm"], "expected a name that ends in .html"),
        (["run"], "expected either TEXT, or --input FILE"),
        (["run", "a", "--row", "2"], "--row says which row of --input FILE, and has no effect without one"),
        (["run", "--input", "no.csv"], "no.csv"),
    ],
)
def test_mistakes_are_said_in_a_sentence(words: list[str], sentence: str, run: Path) -> None:
    Path("broken").mkdir()
    assert sentence in refused("inspect", *words)


def test_what_cannot_be_looked_into_is_said(runs: Mapping[str, OpenRun]) -> None:
    with pytest.raises(DataError, match="holds no token"):  # a document has an end even then
        api.inspect(runs["speaking"], "")
    with pytest.raises(ConfigError, match="the model Linear has no encoder to look into"):
        entry_of(torch.nn.Linear(1, 1))
    other: Any = object()
    with pytest.raises(ConfigError, match="is a run of task classification, which inspect cannot look into yet"):
        api.inspect(replace(runs["classified"], task=other), TEXT)


def test_a_model_without_recurrent_layers_is_explained_by_what_its_encoder_reads(
    runs: Mapping[str, OpenRun],
) -> None:
    run = made(model={"encoder": {"name": "convolutional"}})
    found = api.inspect(run, TEXT)
    assert found.gates == found.states == ()
    assert abs(found.saliency.gap) < 0.02 * abs(found.saliency.whole - found.saliency.nothing)
    assert all(found.saliency.steps[: len(found.tokens)])


def test_sequences_are_a_tree_of_their_beginnings() -> None:
    leaves = [("20", 0.5), ("21", 0.25), ("2", 0.125), ("3", 0.0625)]
    assert list(tree(leaves)) == [
        "  ├ 2  87.5%",
        "  │ ├ 0  50.0%",
        "  │ ├ 1  25.0%",
        "  │ └ (end)  12.5%",
        "  └ 3  6.2%",
    ]
    assert list(tree([(("a", "b"), 1.0)])) == ["  └ a b  100.0%"]
    assert list(tree([((), 1.0)])) == ["  └ (end)  100.0%"]
