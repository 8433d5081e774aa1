"""Files of SQuAD: a row a question, with the article's title and the paragraph's text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recurra.base.errors import DataError
from recurra.data.formats import SkippedRows, read, resolved_format

CONTEXT = "Oslo is the capital of Norway."


def article(*questions: Any, title: str = "Oslo") -> dict[str, Any]:
    return {"title": title, "paragraphs": [{"context": CONTEXT, "qas": list(questions)}]}


def question(number: int, **more: Any) -> dict[str, Any]:
    answers = [{"text": "Oslo", "answer_start": 0}]
    return {"id": f"q{number}", "question": f"Which city, {number}?", "answers": answers, **more}


def written(path: Path, *articles: Any, version: str = "1.1") -> Path:
    path.write_text(json.dumps({"version": version, "data": list(articles)}))
    return path


def test_each_question_is_a_row(tmp_path: Path) -> None:
    path = written(tmp_path / "dev.json", article(question(1), question(2)), article(question(3), title="Norway"))
    assert resolved_format(path) == "squad"
    rows = [record.fields for record in read(path)]
    assert [(row["id"], row["title"], row["context"]) for row in rows] == [
        ("q1", "Oslo", CONTEXT),
        ("q2", "Oslo", CONTEXT),
        ("q3", "Norway", CONTEXT),
    ]
    assert rows[0]["answers"] == [{"text": "Oslo", "answer_start": 0}]


def test_the_place_of_a_row_is_where_its_article_begins(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    articles = [json.dumps(article(question(n))) for n in (1, 2)]
    path.write_text('{"version": "1.1", "data": [\n' + ",\n".join(articles) + "]}")
    assert [str(record.origin) for record in read(path)] == [f"{path}:2", f"{path}:3"]


def test_questions_of_version_2_may_have_no_answer(tmp_path: Path) -> None:
    none = question(2, is_impossible=True, answers=[], plausible_answers=[{"text": "Norway", "answer_start": 23}])
    path = written(tmp_path / "dev.json", article(question(1, is_impossible=False), none), version="v2.0")
    rows = [record.fields for record in read(path)]
    assert (rows[1]["answers"], "plausible_answers" in rows[1]) == ([], False)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (question(2, is_impossible=True), "question 'q2' is said to be impossible, and has an answer"),
        (question(2, is_impossible=False, answers=[]), "question 'q2' has no answer, and is said to have one"),
        ({"id": "q2"}, "expected an object with a question"),
    ],
)
def test_a_broken_question_is_named_and_the_others_are_read(tmp_path: Path, broken: Any, said: str) -> None:
    path = written(tmp_path / "dev.json", article(question(1), broken, question(3)))
    with pytest.raises(DataError, match=said):
        list(read(path))
    skipped = SkippedRows()
    assert [record.fields["id"] for record in read(path, bad_rows=skipped)] == ["q1", "q3"]
    assert skipped.count == 1


def test_an_article_without_paragraphs_is_named(tmp_path: Path) -> None:
    broken = [{"title": "x"}, {"title": "y", "paragraphs": [{"qas": 3}]}]
    path = written(tmp_path / "dev.json", article(question(1)), *broken)
    skipped = SkippedRows()
    assert len(list(read(path, bad_rows=skipped))) == 1
    said = [one.partition(": ")[2] for one in skipped.examples]
    assert said[0].startswith("expected an article with a list of paragraphs, got {'title': 'x'}")
    assert said[1].startswith("expected a paragraph with a list of questions under 'qas', got {'qas': 3}")
