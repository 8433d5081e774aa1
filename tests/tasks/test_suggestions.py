"""What `init` chooses for a file, by the evidence of its columns, and that it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.base.contracts import Origin, Record
from recurra.tasks import TASKS
from recurra.tasks.columns import unfit
from recurra.tasks.contract import Suggestion


def suggested(task: str, columns: dict[str, list[Any]], file: str = "f.csv") -> Suggestion:
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return TASKS[task].suggested([Record(row, Origin(file, n)) for n, row in enumerate(rows, 2)], Path(file))


QUESTIONS = ["where does the bus stop", "who wrote this book", "how late is it now", "what is that there"]
ANSWERS = ["at the town hall", "nobody knows any more", "it is half past two", "I have no idea at all"]


@pytest.mark.parametrize(
    ("columns", "source", "target"),
    [
        ({"dialogue_id": ["a1", "a2", "a3", "a4"], "said": QUESTIONS, "then": ANSWERS}, "said", "then"),
        ({"id": ["1", "2", "3", "4"], "q": QUESTIONS, "a": ANSWERS}, "q", "a"),
        ({"code": ["x7", "x8", "x9", "x10"], "kind": ["a", "b", "a", "b"], "q": QUESTIONS, "a": ANSWERS}, "q", "a"),
        ({"word": ["one", "two", "six", "ten"], "spelt": ["w", "t", "s", "n"]}, "word", "spelt"),
        ({"said": QUESTIONS, "day": ["2001-03-04", "2001-03-05", "2002-01-01", "1999-12-31"]}, "said", "day"),
    ],
)
def test_the_source_is_a_text_and_no_identifier(columns: dict[str, list[Any]], source: str, target: str) -> None:
    found = suggested("translation", columns).task
    assert (found["source"], found["target"]) == (source, target)


def test_what_was_chosen_for_a_translation_is_said_with_its_reason() -> None:
    found = suggested("translation", {"id": ["1", "2"], "input": QUESTIONS[:2], "then": ["no", "yes"]})
    assert found.said == (
        "source: column 'input', by its name; 4.5 words on average.",
        "target: column 'then', which looks most like a text; read as characters, 1.0 words on average.",
        "scores: exact, as a target is a word or a code.",
    )


def test_the_text_of_a_classification_is_the_column_that_looks_most_like_one() -> None:
    labels = ["a", "b", "a", "b"]
    long = [f"{question} {answer} " * 8 for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]
    keys = [f"http://example.org/a/very/long/address/{n}" * 20 for n in range(4)]
    found = suggested("classification", {"url": keys, "title": ["one", "two", "six", "ten"], "body": long, "y": labels})
    assert (found.task["text"], found.task["label"]) == ("body", "y")
    assert found.said == (
        "text: column 'body', which looks most like a text.",
        "label: column 'y', by its name; 2 labels: a (2), b (2).",
        "tokenizer: words in lower case; 74.0 words a text on average.",
    )


def test_a_second_column_of_text_is_named_with_how_to_read_both() -> None:
    said = suggested("classification", {"title": ANSWERS, "body": QUESTIONS, "y": ["a", "b"] * 2}).said
    assert "text: 'title' may be text too; text: [title, body] reads both as one." in said


def test_a_column_with_one_value_is_no_label() -> None:
    columns = {"year": ["2001"] * 4, "text": QUESTIONS, "kind": ["a", "b", "a", "b"]}
    assert suggested("classification", columns).task["label"] == "kind"


@pytest.mark.parametrize("label", ["NaN", "nan", "None", "N/A", " "])
def test_a_label_that_looks_like_a_missing_value_is_named(label: str) -> None:
    said = suggested("classification", {"text": QUESTIONS, "label": ["a", "b", label, label]}).said
    assert f"label: '{label}' (2 times) may be no label but a value that is missing; fill it in, or remove it." in said


def test_of_many_labels_the_most_frequent_are_shown() -> None:
    labels = [f"l{k}" for k in range(12) for _ in range(20 - k)]
    said = suggested("classification", {"text": [f"some words {k}" for k in range(len(labels))], "label": labels}).said
    shown = ", ".join(f"l{k} ({20 - k})" for k in range(8))
    assert said[1] == f"label: column 'label', by its name; 12 labels: {shown} and 4 more."


def test_what_was_chosen_for_a_language_model_is_said() -> None:
    assert suggested("language_model", {"text": QUESTIONS}, "f.txt").said == (
        "text: column 'text', the only one with text.",
        "document: file, as its lines are one text.",
        "tokenizer: characters.",
    )
    said = suggested("language_model", {"id": ["1", "2"], "note": ["a <unk> b", "c d"]}).said
    assert said[0] == "text: column 'note', which looks most like a text."
    assert said[2] == "tokenizer: spaces, as <unk> stands in the text, which is cut already."


@pytest.mark.parametrize(
    ("tokenizer", "words", "said"),
    [
        ("characters", 30.0, "o: is characters, and a text has 30 words on average; words are learned faster."),
        ("characters", 29.0, ""),
        ("words", 1.2, "o: is words, and a text has 1.2 words on average; characters may fit better."),
        ("words", 1.5, ""),
        ("subwords", 1.0, ""),
    ],
)
def test_a_tokenizer_that_does_not_fit_the_texts_is_named(tokenizer: str, words: float, said: str) -> None:
    assert unfit("o", tokenizer, words) == said


def test_check_says_the_labels_that_a_classification_learns() -> None:
    rows = [Record({"text": f"some words {n}", "label": label}, Origin("f", n)) for n, label in enumerate("aab")]
    rows.append(Record({"text": "x y", "label": "NaN"}, Origin("f", 9)))
    task = TASKS["classification"]().fit(rows, "f")
    assert task.filter([task.example(row) for row in rows], "train")[1][:2] == (
        "train: column 'label': 3 labels: a (2), b (1), NaN (1).",
        "train: column 'label': 'NaN' (1 times) may be no label but a value that is missing; fill it in, or remove it.",
    )


def test_lists_and_objects_are_no_texts_where_a_column_of_text_is_there() -> None:
    tokens = [question.split() * 9 for question in QUESTIONS]
    columns = {"pieces": tokens, "meta": [{"a": question * 9} for question in QUESTIONS], "q": QUESTIONS, "a": ANSWERS}
    assert suggested("classification", {**columns, "label": ["x", "y"] * 2}).task["text"] in ("q", "a")
    found = suggested("translation", columns).task
    assert (found["source"], found["target"]) == ("q", "a")


def test_a_null_among_texts_is_left_to_whoever_reads_its_row() -> None:
    found = suggested("classification", {"text": [*QUESTIONS[:3], None], "label": ["x", "y"] * 2}).task
    assert found["text"] == "text"
