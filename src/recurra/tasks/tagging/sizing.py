"""What `init` chooses for a tagging by the size of its data."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.schemes import PLAIN, detected
from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Seen, batch_rows, epochs, training, units
from recurra.tasks.tagging.sentences import Columns

# Tokens of a sentence, about.
TOKENS = 20
# Numbers in the vector of a pattern: data has some hundreds of patterns.
PATTERN = 16


def sized(columns: Columns, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them. columns: what reads the rows"""
    batch = batch_rows(seen.number)
    passes = epochs(seen.number, batch, at_1000=24, power=0.4, tokens=seen.number * TOKENS)
    small = seen.number < 10_000
    dropout = 0.5 if small else 0.3
    return [
        *_output(has_spans=_has_spans(columns, seen.rows)),
        Choice("task.dictionary", "lookup", "what training had of a word need not be learned by heart"),
        Choice("model.inputs.pattern_size", PATTERN, "capitals, digits and signs tell new names"),
        Choice("model.inputs.character_size", 64, "words that training never saw are told by their letters"),
        Choice("model.inputs.character_embedding_size", 32),
        units(seen, 100 if small else 200, few=small),
        Choice("model.inputs.word_dropout", 0.2 if small else 0.1, "letters and neighbours must do without it"),
        Choice("model.inputs.embedding_dropout", dropout, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", dropout, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=passes, optimizer="adam"),
    ]


def _output(*, has_spans: bool) -> list[Choice]:
    if not has_spans:
        return [
            Choice("model.head.output", "softmax", "a tag is told by its sentence rather than by the tag before it")
        ]
    return [
        Choice("task.scheme", "iobes", "the model learns where a name ends, too"),
        Choice("model.head.output", "crf", "a tag must fit the one before it"),
    ]


def _has_spans(columns: Columns, rows: Sequence[Record]) -> bool:
    """Do the tags write spans? Rows that cannot be read are for `check` to name."""
    found = set()
    for row in rows:
        try:
            found.add(columns.read(row).tags)
        except DataError:
            continue
    return bool(found) and detected(list(found)).scheme != PLAIN
