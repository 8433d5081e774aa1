"""Which column holds the text, what a token is and what a document, from the first rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.formats import resolved_format
from recurra.tasks.columns import named, values

TEXT_NAMES = ("text", "sentence", "content", "body", "review", "message", "document", "name", "title")
# Rows of fewer words than this on average are names or codes, each a text of its own, and are read by characters.
FEW_WORDS = 2.0
# Text with the unknown token in it is cut into tokens already: WikiText and the Penn Treebank as they are published.
UNKNOWN = "<unk>"
# Characters that the gradient goes back: about the 20 words that 35 words would be.
CHARACTERS = 100


def suggested(rows: Sequence[Record], file: Path) -> dict[str, Any]:
    """Options of the task for a file. Raises DataError if no column holds text."""
    text = _column(rows, file)
    texts = [value for value in values(rows, text) if value.strip()]
    if not texts:
        raise DataError(f"{file}: the first {len(rows)} rows are blank in column '{text}'; expected text.")
    words = mean(len(value.split()) for value in texts)
    plain = resolved_format(file) == "text" and words >= FEW_WORDS
    cut = any(UNKNOWN in value.split() for value in texts)
    tokenizer = "spaces" if cut else "characters"
    found = {"text": text, "document": "file" if plain else "row", "tokenizer": tokenizer}
    return found if cut else {**found, "bptt": CHARACTERS}


def _column(rows: Sequence[Record], file: Path) -> str:
    names = list(rows[0].fields)
    found = [name for name in names if all(isinstance(row.fields.get(name, ""), str) for row in rows)]
    if not found:
        raise DataError(f"{file}: no column holds text; its columns are {', '.join(map(repr, names))}.")
    return named(TEXT_NAMES, found) or max(found, key=lambda name: mean(map(len, values(rows, name))))
