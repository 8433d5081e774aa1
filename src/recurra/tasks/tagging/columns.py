"""Which column of a file holds the tokens, and which the tags."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.formats.conll import DOCUMENT
from recurra.data.formats.lines import open_lines
from recurra.data.formats.sentences import LINE
from recurra.data.spelling import HYPHENS
from recurra.tasks.columns import column_names, counted, named, printed
from recurra.tasks.contract import Suggestion
from recurra.tasks.tagging.evidence import Column, column_of, roles

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


# Cells of a column that a message shows.
SHOWN = 3
# Lines of a file that show its form.
LINES = 500


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError if its columns cannot be told apart."""
    names = [name for name in rows[0].fields if name != LINE]
    if LINE in rows[0].fields and "form" not in names:
        return _of_columns(rows, names, file)
    if LINE not in rows[0].fields:
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
    cut = "at spaces, as the file's tokens" if spaced else "as the file cuts it, learned from its tokens"
    if isinstance(rows[0].fields[tokens], str) and not spaced:
        cut = "into runs of letters, of digits, and signs"
    said = (
        f"tokens: column '{tokens}', by its name.",
        f"tags: column '{tags}', by its name.",
        f"tokenizer: a raw text is cut {cut}.",
    )
    return Suggestion({"tokens": tokens, "tags": tags} | ({"tokenizer": "spaces"} if spaced else {}), said=said)


def looks_like_conll(file: Path) -> bool:
    """Whether a file that is not named so holds a token a line, the same number of columns, and blank lines between."""
    with open_lines(file) as lines:
        first = [line.text for line in islice(lines, LINES)]
    blocks = [line for line in first if line.strip() and not line.startswith(("#", DOCUMENT))]
    tabs = bool(blocks) and "\t" in blocks[0]
    sizes = {len(line.split("\t") if tabs else line.split()) for line in blocks}
    blank = sum(not line.strip() for line in first[:-1])
    return 0 < 2 * blank <= len(blocks) and len(sizes) == 1 and min(sizes) > 1


def _of_columns(rows: Sequence[Record], names: Sequence[str], file: Path) -> Suggestion:
    """Of columns without a header, by what stands in them."""
    columns = [column_of(name, place, [row.fields[name] for row in rows]) for place, name in enumerate(names, 1)]
    found = roles(columns)
    if found is None:
        told = "; ".join(f"{one.place}: {_kind(one)}" for one in columns)
        raise ConfigError(
            f"{file}: no two columns look like tokens and tags. Columns: {told}. Expected words in one column, and in "
            "another one tags of which there are two at least."
        )
    said = [f"tokens: column {found.tokens.place}, {_kind(found.tokens)}.", f"tags: column {found.tags.place}, "]
    said[1] += f"{_kind(found.tags)}."
    said += [f"column {one.place} is left out: {_kind(one)}." for one in columns if one.numbers or one.constant]
    if found.others:
        told = "; ".join(f"column {one.place}, {_kind(one)}" for one in found.others)
        said.append(f"could be tags as well: {told}. task.tags chooses.")
    if found.tokens.name == "token":
        return Suggestion({"tokens": found.tokens.name, "tags": found.tags.name}, said=tuple(said))
    called = {found.tokens.place: "token", found.tags.place: "tag"}
    called |= {one.place: "number" for one in columns if one.numbers and one.place not in called}
    labels = [called.get(place, f"column{place}") for place in range(1, len(names) + 1)]
    labels = [f"column{k}" if labels.index(name) + 1 != k else name for k, name in enumerate(labels, 1)]
    return Suggestion({"tokens": "token", "tags": "tag"}, {"columns": labels}, tuple(said))


def _kind(column: Column) -> str:
    """What stands in a column, in a few words."""
    if column.numbers:
        return "numbers in order"
    if column.constant:
        return "one value a sentence"
    if column.distinct == 1:
        return f"nothing but '{next(iter(column.counts))}'"
    if column.has_spans:
        way = column.reading.spelling
        written = "" if way == HYPHENS else f", written {way.shown}"
        return f"scheme {column.reading.scheme}{written}; {counted(column.spans.elements())}"
    shown = ", ".join(printed(cell) for cell in list(column.counts)[:SHOWN])
    return f"{shown}, ...: {column.distinct:,} different in {column.total:,}"
