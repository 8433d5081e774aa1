"""Which column of a file holds the text and which the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.formats import field
from recurra.tasks.columns import Look, column_names, counted, look, missing, named, of_text, values
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "tag", "language", "y")
TEXT_NAMES = ("text", "sentence", "review", "message", "content", "tweet", "comment")
# Texts of fewer words than this on average are read by characters: names, codes, single words.
FEW_WORDS = 4.0
# A second column with so many words on average may be a text of its own, such as a title.
TITLE_WORDS = 2.0
# A column with a name for texts is taken unless another one is that many times as much of a text.
MUCH_LONGER = 8.0


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    names = column_names(rows, file, "a text and a label")
    label, why_label = _label(rows, names)
    looks = [look(rows, name) for name in of_text(rows, [name for name in names if name != label.name], 1)]
    text, why_text = _text(looks)
    if any(not isinstance(field(row, text.name), str | None) for row in rows):
        raise DataError(f"{file}: column '{text.name}' does not hold text; expected one that does.")
    few = text.words < FEW_WORDS
    tokenizer: Any = "characters" if few else {"name": "words", "lowercase": True}
    labels = values(rows, label.name)
    said = [
        f"text: column '{text.name}', {why_text}.",
        *_others(looks, text),
        f"label: column '{label.name}', {why_label}; {counted(labels)}.",
        *([f"label: {found}"] if (found := missing(labels)) else []),
        f"tokenizer: {'characters' if few else 'words in lower case'}; {text.words:.1f} words a text on average.",
    ]
    return Suggestion({"text": text.name, "label": label.name, "tokenizer": tokenizer}, said=tuple(said))


def _label(rows: Sequence[Record], names: Sequence[str]) -> tuple[Look, str]:
    if (name := named(LABEL_NAMES, names)) is not None:
        return look(rows, name), "by its name"
    maybe = [look(rows, name) for name in names if name != named(TEXT_NAMES, names)]
    several = [one for one in maybe if one.distinct * len(rows) > 1] or maybe
    return min(several, key=lambda one: one.distinct), "with the fewest different values"


def _others(looks: Sequence[Look], text: Look) -> list[str]:
    """A line on columns that look like texts as well."""
    found = [one.name for one in looks if one is not text and one.as_text and one.words >= TITLE_WORDS]
    if not found or text.words < TITLE_WORDS:
        return []
    return [f"text: {', '.join(map(repr, found))} may be text too; text: [{found[0]}, {text.name}] reads both as one."]


def _text(looks: Sequence[Look]) -> tuple[Look, str]:
    best = max(looks, key=lambda one: (one.as_text, one.characters))
    name = named(TEXT_NAMES, [one.name for one in looks])
    by_name = next((one for one in looks if one.name == name), None)
    if by_name is not None and by_name.as_text * MUCH_LONGER >= best.as_text:
        return by_name, "by its name"
    return best, "which looks most like a text" if len(looks) > 1 else "the other one"
