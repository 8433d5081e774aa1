"""Which column of a file names pictures, and which holds their captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.picture_features import names_features
from recurra.data.pictures import names_picture
from recurra.tasks.columns import column_names, named
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
CAPTIONS = ("caption", "captions", "text", "sentence", "sentences", "description", "raw", "title", "name")
GROUPS = ("group", "groups")


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = column_names(rows, file, "pictures and their captions")
    first = rows[0].fields
    image = next((n for n in names if names_picture(first[n]) or names_features(first[n])), None)
    if image is None:
        raise ConfigError(
            f"{file}: no column names pictures or files of features (.png, .jpg, .webp, .npy). Columns: "
            f"{', '.join(names)}."
        )
    caption = _captions(rows, [name for name in names if name != image], file)
    group = named(GROUPS, [name for name in names if name not in (image, caption)])
    options: dict[str, Any] = {"image": image, "caption": caption, "tokenizer": {"name": "words", "lowercase": True}}
    said = [f"image: column '{image}'.", f"caption: column '{caption}'."]
    if group is not None:
        options["group"] = group
        said.append(f"group: column '{group}'; pictures of one group stay in one split.")
    if names_features(first[image]):
        options["features"] = True
        said.append("features: true, as the files are .npy.")
    data, more = _layout(rows, image)
    return Suggestion(options, data, (*said, *more))


def _captions(rows: Sequence[Record], names: Sequence[str], file: Path) -> str:
    """The column of captions: by its name, else the longest text."""
    if (found := named(CAPTIONS, names)) is not None:
        return found
    lengths = {name: sum(_letters(row.fields.get(name)) for row in rows) for name in names}
    best = max(lengths, key=lambda name: lengths[name], default="")
    if not best or not lengths[best]:
        raise ConfigError(f"{file}: no column holds captions. Columns: {', '.join(names)}.")
    return best


def _letters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_letters, value)) if isinstance(value, list | tuple) else 0


def _layout(rows: Sequence[Record], image: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Where rows share a picture, they are one record with several captions."""
    pictures = [str(row.fields.get(image)) for row in rows]
    if len(set(pictures)) == len(pictures):
        return {}, ()
    return {"layout": {"name": "long", "id": image}}, ("data.layout: rows of one picture are its captions.",)
