"""Files of SQuAD 1.1 and 2.0: articles of paragraphs of questions, each question a row.

{"version": ..., "data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text",
"answer_start"}], "is_impossible"}]}]}]}; Rajpurkar et al. 2016, arXiv:1606.05250, and 2018, arXiv:1806.03822. The place
of a row is the line where its article begins: most such files are one line long. `plausible_answers` are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.data.formats.annotated import first_values
from recurra.data.formats.format import Format
from recurra.data.formats.items import Items
from recurra.data.formats.lines import Line, Lines

Row = Mapping[str, Any]


class SquadRows:
    """The questions of a file, article by article; one article is in memory at a time."""

    columns = ("id", "title", "context", "question", "answers")

    def __init__(self, lines: Lines) -> None:
        self._lines, self._items = lines, Items(lines)
        self._line = Line(0, "", "")
        self._rows: Iterator[Row | str] = iter(())

    def next_row(self) -> tuple[Line, Row]:
        """The next question. Raises BadRowError for an article or a question that is none."""
        while (row := next(self._rows, None)) is None:
            self._line, article = self._items.next_item()
            self._rows = questions(article)
        if isinstance(row, str):
            raise self._lines.bad(row, self._line)
        return self._line, row


def questions(article: Any) -> Iterator[Row | str]:
    """The rows of an article; a sentence in the place of each that is none."""
    paragraphs = _list(article, "paragraphs")
    if paragraphs is None:
        yield f"expected an article with a list of paragraphs, got {article!r:.60}."
    for paragraph in paragraphs or ():
        asked = _list(paragraph, "qas")
        if asked is None:
            yield f"expected a paragraph with a list of questions under 'qas', got {paragraph!r:.60}."
        for question in asked or ():
            yield _row(article.get("title"), paragraph.get("context"), question)


def _row(title: Any, context: Any, question: Any) -> Row | str:
    if not isinstance(question, dict) or not isinstance(question.get("question"), str):
        return f"expected an object with a question, got {question!r:.60}."
    answers, impossible = question.get("answers", []), question.get("is_impossible")
    if impossible is not None and bool(answers) == bool(impossible):
        said = "is said to be impossible, and has an answer" if impossible else "has no answer, and is said to have one"
        return f"question {question.get('id')!r} {said}; expected is_impossible to agree with its answers."
    known = {"id": question.get("id"), "title": title, "context": context}
    return {**known, "question": question["question"], "answers": answers}


def _list(value: Any, key: str) -> list[Any] | None:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else None


def _takes(path: Path) -> str:
    own = any(isinstance(one, dict) and isinstance(one.get("paragraphs"), list) for one in first_values(path))
    return "its articles have paragraphs with questions, as in SQuAD" if own else ""


SQUAD = Format(
    doc="SQuAD 1.1 and 2.0: articles, paragraphs and questions, a row a question",
    suffixes=(),
    open=lambda lines, options: SquadRows(lines),
    options=("encoding",),
    takes=_takes,
    by_line=False,
)
