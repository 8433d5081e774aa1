"""Which column of a file holds contexts, questions, choices and labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import field
from recurra.tasks.columns import column_names, named
from recurra.tasks.contract import Suggestion
from recurra.tasks.multiple_choice.rows import ChoiceColumns, LabelIs

# Names that people give to these columns; the first that is there wins.
CONTEXTS = ("context", "article", "passage", "sent1", "startphrase", "premise", "text", "story")
QUESTIONS = ("question", "sent2", "query", "stem", "prompt")
CHOICES = ("choices", "options", "endings", "candidates", "answers")
LABELS = ("label", "answer", "answerkey", "gold", "target", "correct")
# Columns of one choice each: ending0, ending1; choice_a, choice_b; option1; A, B, C, D.
_ONE_EACH = re.compile(r"(?:ending|choice|option|sol|answer|candidate)[ _-]?(?:\d|[a-h])|[a-h]", re.IGNORECASE)


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = column_names(rows, file, "a question, choices and a label")
    label = named(LABELS, names)
    choices: Any = named(CHOICES, [name for name in names if name != label])
    if choices is None:
        each = sorted((name for name in names if name != label and _ONE_EACH.fullmatch(name)), key=str.lower)
        choices = each if len(each) > 1 else None
    found = {"context": named(CONTEXTS, names), "question": named(QUESTIONS, names)}
    if label is None or choices is None or not any(found.values()):
        raise ConfigError(
            f"{file}: has no columns of a question, choices and a label by their names. Columns: {', '.join(names)}. "
            "Name them with --set task.question=..., task.choices=..., task.label=..."
        )
    options: dict[str, Any] = {option: name for option, name in found.items() if name is not None}
    options |= {"choices": choices, "label": label, **_how(rows, found, choices, label, file)}
    said = [f"{option}: {value if isinstance(value, int) else repr(value)}." for option, value in options.items()]
    return Suggestion({"context": None, **options}, said=tuple(said))


def _how(rows: Sequence[Record], found: dict[str, str | None], choices: Any, label: str, file: Path) -> dict[str, Any]:
    """How labels name a choice: the first way in which those of all rows do."""
    columns = (choices,) if isinstance(choices, str) else tuple(choices)
    ways: tuple[tuple[LabelIs, int], ...] = (("index", 0), ("index", 1), ("letter", 0), ("text", 0))
    for label_is, first in ways:
        reader = ChoiceColumns(found["context"], found["question"], columns, label, label_is, first)
        try:
            for row in rows:
                reader.read(row)
        except DataError as error:
            if "expected" in str(error) and f"column '{label}'" in str(error):
                continue
            raise
        return {"label_is": label_is, **({"first": first} if label_is == "index" else {})}
    raise ConfigError(
        f"{file}: column '{label}' names no choice in some row, by its number, its letter or its text: "
        f"{field(rows[0], label)!r:.40}, ..."
    )
