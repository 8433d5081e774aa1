"""The text of a record, its lines and their tokens."""

from __future__ import annotations

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.tokenizers import Cutter, Tokenizer
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


def cutter(tokenizer: Tokenizer, *, line_breaks: bool, end: bool) -> Cutter:
    """Cuts a text by its lines, whose ends but for the last are tokens (`line_breaks`), and that too (`end`)."""
    return Cutter(tokenizer, True, LINE if line_breaks else "", LINE if end else "")
