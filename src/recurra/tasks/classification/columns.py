"""Which column of a file holds the text and which the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.formats import field
from recurra.tasks.columns import column_names, named, values

# Names that people give to these columns; the first that is there wins.
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "tag", "language", "y")
TEXT_NAMES = ("text", "sentence", "review", "message", "content", "tweet", "comment", "name", "title")
# Texts of fewer words than this on average are read by characters: names, codes, single words.
FEW_WORDS = 4.0


def suggested(rows: Sequence[Record], file: Path) -> dict[str, Any]:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    text, label = _columns(file, rows)
    words = mean(len(str(field(row, text)).split()) for row in rows)
    tokenizer = "characters" if words < FEW_WORDS else {"name": "words", "lowercase": True}
    return {"text": text, "label": label, "tokenizer": tokenizer}


def _columns(file: Path, rows: Sequence[Record]) -> tuple[str, str]:
    """The text and the label, by their names, else by their values."""
    names = column_names(rows, file, "a text and a label")
    maybe = [name for name in names if name != named(TEXT_NAMES, names)]
    label = named(LABEL_NAMES, names) or min(maybe, key=lambda name: len(set(values(rows, name))))
    others = [name for name in names if name != label]
    text = named(TEXT_NAMES, others) or max(others, key=lambda name: mean(map(len, values(rows, name))))
    if any(not isinstance(field(row, text), str) for row in rows):
        raise DataError(f"{file}: column '{text}' does not hold text; expected one that does.")
    return text, label
