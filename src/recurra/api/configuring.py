"""Init and check: from a user's own file to a config, and from a config to every mistake at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.finetuning import load_pretrained
from recurra.api.folder import add_cells, open_run
from recurra.api.given import AnyPath, config_of, overrides_of, path_of
from recurra.api.prepare import prepare, selected
from recurra.api.schema import read_settings, settings_of
from recurra.base.contracts import Listener, Record
from recurra.base.errors import ConfigError
from recurra.config import parse
from recurra.config import write as config_text
from recurra.data.formats import FORMATS, num_lines, read, read_as, recognised, resolved_format, splits_in
from recurra.data.formats.nested import with_nested
from recurra.data.formats.parallel import is_pattern
from recurra.tasks import TASKS, ChoosesBySize
from recurra.tasks.sizing import Seen, in_words, usual

# Rows that `init` looks at to guess which column is which.
LOOK = 1000
# Words for what is not there, so that the answer can say so.
NUMBERS_OVER_TIME = frozenset({"forecast", "forecasting", "time_series", "timeseries", "regression"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A config without mistakes. config: every default written out; notes: what to know; facts: sizes of the data."""

    config: Mapping[str, Any]
    notes: tuple[str, ...]
    facts: Mapping[str, str | int | float]


@in_float32
def init(task: str, file: AnyPath, *, watch: Listener | None = None) -> str:
    """A commented config with every default, for a task on a file.

    Columns are guessed from names and values, and can be changed; what was chosen, and why, is told to `watch` and
    stands at the top of the config. Raises ConfigError for a task that is not known, or a file whose columns cannot be
    told apart; DataError for a file that cannot be read.
    """
    asked, task = task, TASKS.called(task)
    if asked != task:
        (watch or NoCallback()).note(f"'{asked}' is an example of the task {task}.")
    if asked.strip().lower() in NUMBERS_OVER_TIME:
        raise ConfigError(f"'{asked}': recurra has no task of numbers over time yet. Known: {', '.join(TASKS)}.")
    plan, file = TASKS[task], path_of(file, "file")
    if any("\udc80" <= character <= "\udcff" for character in str(file)):  # bytes that Python could not decode
        raise ConfigError(f"{file}: its name is not UTF-8, so no config can hold it. Rename it.")
    heard = _Notes()
    parts = _parts(file, heard)
    file = parts.get("train", file)
    word = plan.format_of(file)
    if word == "auto" and recognised(file)[1]:
        heard.note(read_as(file))
    rows, number = _first_rows(read(file, format=word, note=heard.note), file, word)
    rows, paths = with_nested(rows)
    found = plan.suggested(rows, file)
    if "columns" in found.data:
        rows = list(islice(read(file, format=word, columns=found.data["columns"]), LOOK))
    data: dict[str, Any] = {"train": str(file), **{name: str(parts[name]) for name in ("dev", "test") if name in parts}}
    data |= {**({} if word == "auto" else {"format": word}), **found.data}
    if chosen_paths := {name: paths[name] for name in _names_in(found.task) if name in paths}:
        data["columns"] = chosen_paths
    chosen: dict[str, Any] = {"task": {"name": task, **found.task}, "data": data}
    seen = Seen(rows, number)
    choices = plan.sized(chosen["task"], seen) if isinstance(plan, ChoosesBySize) else usual(seen)
    for choice in choices:
        *places, name = choice.path.split(".")
        section = chosen
        for place in places:
            section = section.setdefault(place, {})
        section[name] = choice.value
    document = parse(yaml.safe_dump(chosen, allow_unicode=True, sort_keys=False), str(file))
    settings = settings_of(document)
    said = (*heard.messages, *found.said, in_words(choices, seen))
    for line in said:
        (watch or NoCallback()).note(line)
    reasons = {one.path: one.why for one in choices if one.why}
    return config_text(settings.resolved, settings.schema, said, reasons)


def _parts(file: Path, watch: Listener) -> Mapping[str, Path]:
    """The parts of a folder that holds train, dev and test; {} of everything else. Raises ConfigError without train."""
    parts = splits_in(file)
    if parts and "train" not in parts:
        known = ", ".join(str(path) for path in parts.values())
        raise ConfigError(f"{file}: holds no part that is called train. Name the one to learn from: one of {known}.")
    if parts:
        told = ", ".join(f"{path.name} for {name}" for name, path in parts.items() if name in ("train", "dev", "test"))
        others = [path.name for name, path in parts.items() if name not in ("train", "dev", "test")]
        watch.note(f"{file}: holds parts: {told}{f'; left out: {chr(44).join(others)}' if others else ''}.")
    return parts


def _first_rows(records: Iterator[Record], file: Path, word: str) -> tuple[list[Record], int]:
    """The rows that `init` looks at, and how many the file has.

    Of more than it looks at: as many as its lines hold if they are like the first ones, or else counted.
    """
    rows = list(islice(records, LOOK))
    if len(rows) < LOOK:
        return rows, len(rows)
    if not FORMATS[resolved_format(file) if word == "auto" else word].by_line:
        return rows, len(rows) + sum(1 for _ in records)
    last = rows[-1].origin.line
    if last is None or not (is_pattern(file) or file.is_file()):  # a pipe is read once
        return rows, len(rows)
    return rows, max(len(rows), round(num_lines(file) * len(rows) / last))


def _names_in(options: Mapping[str, Any]) -> Iterator[str]:
    """The texts among the values of options, those that may be names of columns."""
    for value in options.values():
        yield from (
            [value]
            if isinstance(value, str)
            else [one for one in value if isinstance(one, str)]
            if isinstance(value, list | tuple)
            else []
        )


@in_float32
def check(
    config: AnyPath | Mapping[str, Any], *, overrides: Sequence[str] = (), cells: Iterable[AnyPath] = ()
) -> Checked:
    """Check a config, a file or a dict of its sections, and the data it names, without training.

    Raises ConfigError with every mistake at once, then DataError for data that cannot be learned from.
    """
    add_cells(cells)
    settings = read_settings(config_of(config), overrides_of(overrides))
    heard = _Notes()
    prepared = prepare(settings, heard)
    selected(settings, prepared, heard)
    model = settings.model(prepared.task.model_sizes)
    if settings.training.init_from is not None:
        run = open_run(Path(settings.training.init_from))
        heard.note(load_pretrained(run, model, prepared.task, settings.training.init_layers))
    parameters = sum(p.numel() for p in model.parameters())
    return Checked(settings.tree, tuple(heard.messages), {**prepared.facts, "parameters": parameters})


class _Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        self.messages.append(message)
