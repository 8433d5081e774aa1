"""Which column of a file holds questions, contexts and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.tasks.columns import column_names, named
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
NAMES = {
    "question": ("question", "query", "q"),
    "context": ("context", "passage", "paragraph", "document", "text", "article", "content"),
    "answer": ("answers", "answer", "answer_text", "span", "gold"),
}
MORE = {
    "start": ("answer_start", "start", "answer_begin", "start_char", "offset"),
    "id": ("id", "qid", "question_id", "uid"),
    "group": ("title", "article_title", "article", "article_id", "doc_id", "document_id", "group"),
}


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = column_names(rows, file, "a question, its context and an answer")
    found = {option: named(known, names) for option, known in NAMES.items()}
    if missing := [option for option, name in found.items() if name is None]:
        what = " and no ".join(f"column of {option}s" for option in missing)
        raise ConfigError(
            f"{file}: has no {what} by its name. Columns: {', '.join(names)}. Name them with --set task.question=..., "
            "task.context=..., task.answer=..."
        )
    taken = set(found.values())
    found |= {option: named(known, [name for name in names if name not in taken]) for option, known in MORE.items()}
    options = {option: name for option, name in found.items() if name is not None}
    said = [f"{option}: column '{name}', by its name." for option, name in options.items()]
    if "group" not in options:
        said.append("group: none; the questions about one context stay in one split.")
    return Suggestion(options, said=tuple(said))
