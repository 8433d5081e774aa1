"""Which columns of a file are the source, the target, and what else there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.formats import field
from recurra.tasks.columns import Look, column_names, look, named, of_text
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
SOURCE_NAMES = ("source", "src", "input", "question", "document", "article", "word", "text", "en", "english")
TARGET_NAMES = ("target", "tgt", "output", "translation", "answer", "summary", "reply", "pronunciation", "date")
ACCEPTED_NAMES, GROUP_NAMES = ("accepted",), ("language", "group", "domain")
# Texts of fewer words than this on average are read by characters: dates, names, single words.
FEW_WORDS = 4.0


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    names = column_names(rows, file, "a source and a target")
    (source, why_source), (target, why_target), others = _columns(
        [look(rows, name) for name in of_text(rows, names, 2)]
    )
    for name in (source.name, target.name):
        if any(not isinstance(field(row, name), str | None) for row in rows):
            raise DataError(f"{file}: column '{name}' does not hold text; expected one that does.")
    exact = target.words < FEW_WORDS
    options = {
        "source": source.name,
        "target": target.name,
        **others,
        "source_tokenizer": _tokenizer(source.words, lowercase=True),
        "target_tokenizer": _tokenizer(target.words, lowercase=False),  # capitals are part of a right answer
        "scores": "exact" if exact else "translation",
    }
    said = [
        f"source: column '{source.name}', {why_source}; {_read(source)}.",
        f"target: column '{target.name}', {why_target}; {_read(target)}.",
        *(f"{key}: column '{name}', by its name." for key, name in others.items()),
        f"scores: {options['scores']}, as a target is {'a word or a code' if exact else 'a sentence'}.",
    ]
    return Suggestion(options, said=tuple(said))


def _columns(looks: Sequence[Look]) -> tuple[tuple[Look, str], tuple[Look, str], dict[str, str]]:
    """Source and target, each with the reason, and the columns that have other names."""
    rows = [one for one in looks if not one.key]
    names = [one.name for one in (rows if len(rows) > 1 else looks)]
    by_name = {one.name: one for one in looks}
    source = named(SOURCE_NAMES, names)
    target = named(TARGET_NAMES, [name for name in names if name != source])
    rest = [name for name in names if name not in (source, target)]
    others = {"accepted": named(ACCEPTED_NAMES, rest), "group": named(GROUP_NAMES, rest)}
    free = [name for name in rest if name not in others.values()] or rest
    wanted = (source is None) + (target is None)
    taken = sorted(sorted(free, key=lambda name: -by_name[name].as_text)[:wanted], key=free.index)
    reason = "which looks most like a text"
    found = [(by_name[name], "by its name") if name else (by_name[taken.pop(0)], reason) for name in (source, target)]
    chosen = {one.name for one, _ in found}
    return found[0], found[1], {key: name for key, name in others.items() if name and name not in chosen}


def _read(column: Look) -> str:
    return f"{'read as characters, ' if column.words < FEW_WORDS else ''}{column.words:.1f} words on average"


def _tokenizer(words: float, *, lowercase: bool) -> str | dict[str, Any]:
    if words < FEW_WORDS:
        return "characters"
    return {"name": "words", "lowercase": True} if lowercase else "words"
