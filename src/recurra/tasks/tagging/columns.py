"""Which column of a file holds the tokens, and which the tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.formats import resolved_format
from recurra.data.formats.conll import LINE
from recurra.tasks.columns import column_names, named
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
TOKEN_NAMES = ("tokens", "token", "words", "word", "form", "text", "sentence", "utterance")
TAG_NAMES = (
    "tags",
    "tag",
    "ner_tags",
    "ner",
    "pos_tags",
    "upos",
    "pos",
    "spans",
    "entities",
    "slots",
    "labels",
    "label",
)


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError if its columns cannot be told apart."""
    if resolved_format(file) in ("conll", "conllu"):
        names = [name for name in rows[0].fields if name != LINE]
    else:
        names = [name for name in column_names(rows, file, "tokens and tags") if name != LINE]
    tokens = named(TOKEN_NAMES, names)
    tags = named(TAG_NAMES, [name for name in names if name != tokens])
    if tokens is None or tags is None:
        missing = "tokens" if tokens is None else "tags"
        raise ConfigError(
            f"{file}: no column looks like {missing}: {', '.join(map(repr, names))}. Give it a common name, such as "
            f"'{TOKEN_NAMES[0] if tokens is None else TAG_NAMES[0]}', or write a config with task.tokens and task.tags."
        )
    value = rows[0].fields[tags]
    # Tags with spaces between them: raw texts are then best cut as the file's were.
    spaced = isinstance(value, str) and not value.lstrip().startswith("[")
    return Suggestion({"tokens": tokens, "tags": tags} | ({"tokenizer": "spaces"} if spaced else {}))
