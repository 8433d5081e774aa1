"""Which columns of a file are the source, the target, and what else there is."""

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
SOURCE_NAMES = ("source", "src", "input", "question", "document", "article", "word", "text", "en", "english")
TARGET_NAMES = ("target", "tgt", "output", "translation", "answer", "summary", "reply", "pronunciation", "date")
ACCEPTED_NAMES, GROUP_NAMES = ("accepted",), ("language", "group", "domain")
# Texts of fewer words than this on average are read by characters: dates, names, single words.
FEW_WORDS = 4.0


def suggested(rows: Sequence[Record], file: Path) -> dict[str, Any]:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    names = column_names(rows, file, "a source and a target")
    source = named(SOURCE_NAMES, names) or next(name for name in names if name != named(TARGET_NAMES, names))
    rest = [name for name in names if name != source]
    others = {"accepted": named(ACCEPTED_NAMES, rest), "group": named(GROUP_NAMES, rest)}
    target = named(TARGET_NAMES, rest) or next((name for name in rest if name not in others.values()), rest[0])
    for name in (source, target):
        if any(not isinstance(field(row, name), str) for row in rows):
            raise DataError(f"{file}: column '{name}' does not hold text; expected one that does.")
    found = {key: name for key, name in others.items() if name not in (None, source, target)}
    sizes = [mean(len(value.split()) for value in values(rows, name)) for name in (source, target)]
    return {
        "source": source,
        "target": target,
        **found,
        "source_tokenizer": _tokenizer(sizes[0], lowercase=True),
        "target_tokenizer": _tokenizer(sizes[1], lowercase=False),  # capitals are part of a right answer
        "scores": "exact" if sizes[1] < FEW_WORDS else "translation",
    }


def _tokenizer(words: float, *, lowercase: bool) -> str | dict[str, Any]:
    if words < FEW_WORDS:
        return "characters"
    return {"name": "words", "lowercase": True} if lowercase else "words"
