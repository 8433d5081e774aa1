"""Which column of a file names pictures, which holds texts, and which labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.picture_features import names_features
from recurra.data.pictures import names_picture
from recurra.tasks.columns import column_names, counted, named, values
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
TEXTS = ("text", "sentence", "statement", "question", "hypothesis", "caption")
LABELS = ("label", "answer", "gold", "target", "class", "gold_label")


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = column_names(rows, file, "pictures, texts and labels")
    first = rows[0].fields
    image = next((n for n in names if names_picture(first[n]) or names_features(first[n])), None)
    rest = [name for name in names if name != image]
    found = {"image": image, "text": named(TEXTS, rest), "label": named(LABELS, rest)}
    if lacking := [option for option, name in found.items() if name is None]:
        raise ConfigError(
            f"{file}: no column is {', '.join(lacking)} by its name, or names pictures (.png, .jpg, .webp, .npy). "
            f"Columns: {', '.join(names)}. Name them with "
            + " ".join(f"--set task.{option}=..." for option in lacking)
            + "."
        )
    options: dict[str, Any] = {**found, "tokenizer": {"name": "words", "lowercase": True}}
    labels = values(rows, str(found["label"]))
    said = [f"{option}: column '{name}'." for option, name in found.items()]
    said[-1] = f"label: column '{found['label']}'; {counted(labels)}."
    if names_features(first[options["image"]]):
        options["features"] = True
        said.append("features: true, as the files are .npy.")
    return Suggestion(options, {}, tuple(said))
