"""The text of a record, its lines and their tokens."""

from __future__ import annotations

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.tokenizers import Tokenizer
from recurra.tasks.language_model.documents import LINE


def text_of(record: Record, column: str, *, blank: bool) -> str:
    """The text of a record. Raises DataError, with file and line, for what is none, or blank where it must not be."""
    value = field(record, column)
    if not isinstance(value, str):
        raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected text.")
    if not blank and not value.strip():
        raise DataError(
            f"{record.origin}: column '{column}' is empty, expected text. Fill it in, set data.on_error: skip, or "
            "task.document: file to read all rows as one text."
        )
    return value


def lines_of(text: str) -> list[str]:
    """The lines of a text, however their ends are written; one at least."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def tokens_of(text: str, tokenizer: Tokenizer, *, line_breaks: bool) -> list[str]:
    """The tokens of a text, with the ends of its lines, but for the last, where these are tokens (`line_breaks`)."""
    found: list[str] = []
    for number, line in enumerate(lines_of(text)):
        if number and line_breaks:
            found.append(LINE)
        found += tokenizer.tokenize(line)
    return found
