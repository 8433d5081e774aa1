"""Init and check: from a user's own file to a config, and from a config to every mistake at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from recurra.api.folder import add_cells
from recurra.api.prepare import prepare, selected
from recurra.api.schema import SCHEMA, read_settings, settings_of
from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError
from recurra.config import parse
from recurra.config import write as config_text
from recurra.data.formats import field, read, resolved_format
from recurra.tasks import TASKS

# Rows that `init` looks at to guess which column is which.
LOOK = 1000
# Names that people give to a label column; the first that is there wins.
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "tag", "language", "y")
TEXT_NAMES = ("text", "sentence", "review", "message", "content", "tweet", "comment", "name", "title")
# A header cell longer than this is rather a first row of data.
LONGEST_HEADER = 64
# Texts of fewer words than this on average are read by characters: names, codes, single words.
FEW_WORDS = 4.0


@dataclass(frozen=True, slots=True)
class Checked:
    """A config without mistakes. config: every default written out; notes: what to know; facts: sizes of the data."""

    config: Mapping[str, Any]
    notes: tuple[str, ...]
    facts: Mapping[str, str | int | float]


def init(task: str, file: Path) -> str:
    """A commented config with every default, for a task on a file.

    Columns are guessed from names and values, and can be changed. Raises ConfigError for a task that is not known, or
    a file whose columns cannot be told apart; DataError for a file that cannot be read.
    """
    TASKS[task]
    rows = list(islice(read(file), LOOK))
    text, label = _columns(file, rows)
    values = [str(field(row, text)) for row in rows]
    words = mean(len(value.split()) for value in values)
    chosen: dict[str, Any] = {
        "task": {
            "name": task,
            "text": text,
            "label": label,
            "tokenizer": "characters" if words < FEW_WORDS else {"name": "words", "lowercase": True},
        },
        "data": {"train": str(file)},
    }
    if len(rows) < LOOK:
        # A few hundred rows in batches of 64 are a handful of steps an epoch, too few to learn anything.
        chosen["training"] = {"batch_rows": 8, "epochs": 20}
    document = parse(yaml.safe_dump(chosen, allow_unicode=True, sort_keys=False), str(file))
    return config_text(settings_of(document).resolved, SCHEMA)


def check(config: Path, *, overrides: Sequence[str] = (), cells: Iterable[Path] = ()) -> Checked:
    """Check a config and the data it names, without training.

    Raises ConfigError with every mistake at once, then DataError for data that cannot be learned from.
    """
    add_cells(cells)
    settings = read_settings(config, overrides)
    heard = _Notes()
    prepared = prepare(settings, heard)
    selected(settings, prepared)
    model = settings.model(prepared.task.model_sizes)
    parameters = sum(p.numel() for p in model.parameters())
    return Checked(settings.tree, tuple(heard.messages), {**prepared.facts, "parameters": parameters})


def _columns(file: Path, rows: Sequence[Record]) -> tuple[str, str]:
    """Which column holds the text and which the label, by their names, else by their values."""
    names = list(rows[0].fields)
    if any(len(name) > LONGEST_HEADER for name in names):
        raise ConfigError(
            f"{file}: its first line does not look like column names ({names[0][:30]!r}, ...). If there is no header, "
            "put one there, or write a config with data.columns: [label, text]."
        )
    if len(names) < 2:
        raise ConfigError(
            f"{file}: expected at least two columns, a text and a label, found {', '.join(map(repr, names))} "
            f"(read as {resolved_format(file)})."
        )
    maybe = [name for name in names if name != _named(TEXT_NAMES, names)]
    label = _named(LABEL_NAMES, names) or min(maybe, key=lambda name: len(set(_values(rows, name))))
    others = [name for name in names if name != label]
    text = _named(TEXT_NAMES, others) or max(others, key=lambda name: mean(map(len, _values(rows, name))))
    if any(not isinstance(field(row, text), str) for row in rows):
        raise DataError(f"{file}: column '{text}' does not hold text; expected one that does.")
    return text, label


def _named(known: Sequence[str], names: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[word] for word in known if word in by_lower), None)


def _values(rows: Sequence[Record], name: str) -> list[str]:
    # Rows of JSON need not have the same fields.
    return [str(row.fields.get(name, "")) for row in rows]


class _Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        self.messages.append(message)
