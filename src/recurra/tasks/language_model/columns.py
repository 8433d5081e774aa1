"""Which column holds the text, what a token is and what a document, from the first rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.formats import resolved_format
from recurra.tasks.columns import look, named, values
from recurra.tasks.contract import Suggestion

TEXT_NAMES = ("text", "sentence", "content", "body", "review", "message", "document", "name", "title")
# Rows of fewer words than this on average are names or codes, each a text of its own, and are read by characters.
FEW_WORDS = 2.0
# Text with the unknown token in it is cut into tokens already: WikiText and the Penn Treebank as they are published.
UNKNOWN = "<unk>"
# Characters that the gradient goes back: about the 20 words that 35 words would be.
CHARACTERS = 100


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file. Raises DataError if no column holds text."""
    text, why = text_column(rows, file)
    texts = [value for value in values(rows, text) if value.strip()]
    if not texts:
        raise DataError(f"{file}: the first {len(rows)} rows are blank in column '{text}'; expected text.")
    words = mean(len(value.split()) for value in texts)
    plain = resolved_format(file) == "text" and words >= FEW_WORDS
    cut = any(UNKNOWN in value.split() for value in texts)
    tokenizer = "spaces" if cut else "characters"
    options = {"text": text, "document": "file" if plain else "row", "tokenizer": tokenizer}
    said = (
        f"text: column '{text}', {why}.",
        f"document: {options['document']}, as {'its lines are one text' if plain else 'each row is a text'}.",
        f"tokenizer: {tokenizer}" + (f", as {UNKNOWN} stands in the text, which is cut already." if cut else "."),
    )
    return Suggestion(options if cut else {**options, "bptt": CHARACTERS}, said=said)


def text_column(rows: Sequence[Record], file: Path) -> tuple[str, str]:
    """The column that holds the text, and why it is that one. Raises DataError if none does."""
    names = list(rows[0].fields)
    found = [name for name in names if all(isinstance(row.fields.get(name, ""), str) for row in rows)]
    if not found:
        raise DataError(f"{file}: no column holds text; its columns are {', '.join(map(repr, names))}.")
    if len(found) == 1:
        return found[0], "the only one with text"
    if (name := named(TEXT_NAMES, found)) is not None:
        return name, "by its name"
    return max((look(rows, name) for name in found), key=lambda one: one.as_text).name, "which looks most like a text"
