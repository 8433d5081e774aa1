"""What a text without anything to read is, and what every task answers for one: nothing, and why."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.models_room import chords, classifier, language_model, seq2seq, tagger
from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.tasks import TASKS
from recurra.tasks.blank import NOTE, is_blank

BLANK = ["", " ", "\t\n\r\x1c", "\u3000\u00a0", "\u200b", "\ufeff\u200d \u2060", "\u00ad", "\x00\x1b", "\ufe0f"]
# The last ones: a combining accent, a flag's half, an Arabic sign, a rest of an unknown script.
NOT_BLANK = ["a", "\u200ba", ".", "天", "\u0301", "\U0001f1e9", "\u0600", "\ue000"]

BUILDERS = {"classification": classifier, "translation": seq2seq, "tagging": tagger}


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_what_nobody_can_see_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", NOT_BLANK, ids=ascii)
def test_what_can_be_seen_is_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_a_million_zero_widths_are_looked_at_once() -> None:
    assert is_blank("\u200b " * 500_000)
    assert not is_blank("\u200b " * 500_000 + "a")


TRAINED: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]], str, dict[str, Any]]] = {
    "one label": (
        "classification", {}, [{"text": "a b", "label": "x"}, {"text": "c", "label": "y"}], "text",
        {"label": "", "score": None, "probabilities": {}},
    ),
    "many labels": (
        "classification", {"labels": "many"}, [{"text": "a b", "label": "x"}, {"text": "c", "label": ""}], "text",
        {"labels": [], "probabilities": {}},
    ),
    "translation": (
        "translation", {"beam": 2}, [{"source": "a b", "target": "X Y"}, {"source": "b", "target": "Y"}], "source",
        {"output": "", "score": None},
    ),
    "spans": (
        "tagging", {}, [{"token": ["a", "b"], "tag": ["O", "B-X"]}], "token", {"spans": [], "tags": []},
    ),
    "tags": (
        "tagging", {}, [{"token": ["a", "b"], "tag": ["N", "V"]}], "token", {"tokens": []},
    ),
}  # fmt: skip


def answered(kind: str, texts: list[Any]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The answers of an untrained model to these texts, and the remarks beside them."""
    name, options, rows, column, _ = TRAINED[kind]
    task = TASKS[name](**options).fit([Record(row, Origin("d", n)) for n, row in enumerate(rows, start=1)], "d")
    torch.manual_seed(0)
    model = BUILDERS[name](*task.model_sizes.values(), embedding_size=4, hidden_size=4).eval()
    examples = [task.example(Record({column: text}, Origin("t", n)), gold=False) for n, text in enumerate(texts, 1)]
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, range(len(examples))), examples)
    return [task.answer(e, o).to_dict() for e, o in zip(examples, outputs, strict=True)], task.warnings(
        outputs, examples
    )


@pytest.mark.parametrize("kind", TRAINED)
def test_a_blank_text_has_an_empty_answer_with_a_note_and_its_neighbours_have_theirs(kind: str) -> None:
    expected = TRAINED[kind][4]
    texts = ["a b", "", " \u200b\t", "a"]
    answers, warnings = answered(kind, texts)
    for text, answer in zip(texts, answers, strict=True):
        if is_blank(text):
            assert answer == {**expected, "text": text, "note": NOTE}
        else:
            assert "note" not in answer
            assert answer.keys() == {*expected, "text"}
    blank = "2 of 4 texts are blank (empty, or of white space and characters that cannot be seen), and have an empty "
    assert warnings == (f"{blank}answer; the first: t:2.",), "what is not known in a blank text is nobody's business"
    assert answered(kind, ["a"])[1] == ()


def test_a_blank_translation_looks_at_nothing_and_has_no_second_answer() -> None:
    name, options, rows, column, _ = TRAINED["translation"]
    plan = TASKS[name](**options)
    task = plan.fit([Record(row, Origin("d")) for row in rows], "d").with_options({"n_best": 2, "attention": True})
    model = seq2seq(*task.model_sizes.values(), embedding_size=4, hidden_size=4).eval()
    example = task.example(Record({column: "\u200b"}, Origin("t")), gold=False)
    with torch.inference_mode():
        (output,) = task.predict(model, task.collate([example], [0]), [example])
    answer = task.answer(example, output).to_dict()
    assert (answer["n_best"], answer["attention"]) == ([], {"rows": [], "columns": [], "weights": []})
    assert list(task.stream(model, example, torch.device("cpu"))) == []  # type: ignore[attr-defined]


def test_a_sentence_of_tokens_has_a_tag_for_each_whatever_they_are() -> None:
    (answer,), _ = answered("tags", [["\u200b", "b"]])
    assert len(answer["tokens"]) == 2


@pytest.mark.parametrize(
    ("document", "line_breaks", "targets"), [("row", True, 1), ("file", True, 1), ("file", False, 0)]
)
def test_a_language_model_judges_a_blank_text_and_says_that_it_is_one(
    document: str, line_breaks: bool, targets: int
) -> None:
    plan = TASKS["language_model"](document=document, line_breaks=line_breaks)
    task: Any = plan.fit([Record({"text": "a b"}, Origin("d"))], "d")
    model = language_model(*task.model_sizes.values(), embedding_size=4, hidden_size=4).eval()
    examples = [task.example(Record({"text": text}, Origin("t", n)), gold=False) for n, text in enumerate([" ", "a"])]
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, [0, 1]), examples)
    blank, other = (task.answer(e, o).to_dict() for e, o in zip(examples, outputs, strict=True))
    assert (blank["note"], blank["num_tokens"]) == (NOTE, targets)
    assert str(blank["log_prob"])[:2] != "-0"
    assert "note" not in other
    (remark,) = task.warnings(outputs, examples)
    assert remark.startswith("1 of 2 texts is blank (empty, or of white space and characters that cannot be seen)")
    _, piece = task.predictor(model).read(task.predictor(model).begin(), " ")
    assert piece["note"] == NOTE


def test_a_piece_of_music_without_chords_is_answered() -> None:
    task: Any = TASKS["music"]().fit([], "d")
    model = chords(*task.model_sizes.values(), hidden_size=4).eval()
    examples = [task.example(Record({"chords": value}, Origin("t", n)), gold=False) for n, value in enumerate(["", []])]
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, [0, 1]), examples)
    for example, output in zip(examples, outputs, strict=True):
        assert task.answer(example, output).to_dict() == {
            "log_prob": 0.0, "nats_per_step": 0.0, "num_steps": 0, "chords": "", "note": NOTE,
        }  # fmt: skip
    assert len(task.warnings(outputs, examples)) == 1
    with pytest.raises(DataError, match="is empty, expected chords"):
        task.example(Record({"chords": ""}, Origin("t")))


def test_a_text_in_pieces_is_blank_until_something_can_be_seen() -> None:
    name, options, rows, *_ = TRAINED["one label"]
    task: Any = TASKS[name](**options).fit([Record(row, Origin("d")) for row in rows], "d")
    model = classifier(
        *task.model_sizes.values(), embedding_size=4, hidden_size=4, bidirectional=False, pooling="last"
    ).eval()
    predictor = task.predictor(model)
    place = predictor.begin()
    for piece in ("", " \u200b"):
        place, answer = predictor.read(place, piece)
        assert (answer["label"], answer["score"], answer["note"]) == ("", None, NOTE)
    _, answer = predictor.read(place, "a")
    assert answer["label"] in ("x", "y")
    assert "note" not in answer


@pytest.mark.parametrize(
    ("kind", "row", "sentence"),
    [
        ("one label", {"text": "\u200b", "label": "x"}, "column 'text' holds nothing that can be seen, expected text"),
        ("translation", {"source": " \ufeff", "target": "X"}, "column 'source' holds nothing that can be seen"),
        ("translation", {"source": "a", "target": "\u200b"}, "column 'target' holds nothing that can be seen"),
    ],
)
def test_a_row_to_learn_from_is_broken_where_its_text_cannot_be_seen(
    kind: str, row: dict[str, Any], sentence: str
) -> None:
    name, options, *_ = TRAINED[kind]
    with pytest.raises(DataError, match=f"^d:3: {sentence}"):
        TASKS[name](**options).read(Record(row, Origin("d", 3)))
