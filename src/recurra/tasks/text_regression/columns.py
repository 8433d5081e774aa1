"""Which columns of a file hold the texts and the number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.tasks.columns import Look, column_names, look, named, of_text, values
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
TARGETS = (
    "score",
    "similarity",
    "similarity_score",
    "relatedness_score",
    "rating",
    "stars",
    "target",
    "label",
    "value",
    "y",
)
PAIRS = (
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("text1", "text2"),
    ("s1", "s2"),
    ("premise", "hypothesis"),
)


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = column_names(rows, file, "a text and a number")
    numeric = [name for name in names if all(map(_is_number, values(rows, name)))]
    target = named(TARGETS, numeric) or (numeric[-1] if numeric else None)
    if target is None:
        raise ConfigError(f"{file}: no column holds a number in every row. Columns: {', '.join(names)}.")
    texts = [name for name in of_text(rows, [name for name in names if name not in numeric], 1) if name not in numeric]
    pair = next(
        ([named([a], texts), named([b], texts)] for a, b in PAIRS if named([a], texts) and named([b], texts)), None
    )
    if pair is not None:
        options = {"text": pair[0], "pair": pair[1], "target": target}
    elif texts:
        best: Look = max((look(rows, name) for name in texts), key=lambda one: one.as_text)
        options = {"text": best.name, "target": target}
    else:
        raise ConfigError(f"{file}: no column holds text. Columns: {', '.join(names)}.")
    said = [f"{option}: column '{name}'." for option, name in options.items()]
    return Suggestion({**options, "tokenizer": {"name": "words", "lowercase": True}}, said=tuple(said))


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
