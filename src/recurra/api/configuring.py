"""Init and check: from a user's own file to a config, and from a config to every mistake at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.editors import MODELINE
from recurra.api.finetuning import load_pretrained, load_published
from recurra.api.folder import add_cells, open_run
from recurra.api.given import AnyPath, config_of, overrides_of, path_of, text_of
from recurra.api.options import FILE_OPTIONS
from recurra.api.prepare import prepare, selected
from recurra.api.pretrained_vectors import load_vectors
from recurra.api.schema import read_settings, settings_of
from recurra.base.contracts import Listener, Record
from recurra.base.errors import ConfigError, did_you_mean
from recurra.base.registry import plain
from recurra.config import document_of, parse
from recurra.config import write as config_text
from recurra.data.formats import (
    FORMATS,
    field,
    is_sharded,
    num_lines,
    read,
    read_as,
    recognised,
    resolved_format,
    spelt,
    splits_in,
)
from recurra.data.formats.nested import with_nested
from recurra.data.formats.parallel import is_pattern
from recurra.tasks import TASKS, ChoosesBySize, NamedByMethod, NamesFormat, TakesLexicon
from recurra.tasks.contract import Suggestion, TaskConfig
from recurra.tasks.sizing import Choice, Seen, in_words, usual

# Rows that `init` looks at to guess which column is which.
LOOK = 1000
# Words that say too little.
SEVERAL = {"regression": "text_regression, a number for a text or a pair, or series_regression, for numbers or a sound"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A config without mistakes. config: every default written out; notes: what to know; facts: sizes of the data."""

    config: Mapping[str, Any]
    notes: tuple[str, ...]
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Draft:
    """What `init` chooses for a file. tree: the sections of a config, without what has its default

    said: what was chosen and why, a line each; size: how long training is, and of what, without a full stop
    reasons: why an option has its value, by its path
    """

    tree: Mapping[str, Mapping[str, Any]]
    said: tuple[str, ...]
    size: str
    reasons: Mapping[str, str]


@in_float32
def init(
    task: str,
    file: AnyPath,
    *,
    head: str | None = None,
    lexicon: AnyPath | None = None,
    watch: Listener | None = None,
) -> str:
    """A commented config with every default, for a task on a file. head: of the model; None: the task's usual one

    lexicon: file of words with their pronunciations, by which speech says words
    Columns are guessed from names and values, and can be changed; what was chosen, and why, is told to `watch` and
    stands at the top of the config. Raises ConfigError for a task that is not known, a head or a lexicon that it has
    not, or a file whose columns cannot be told apart; DataError for a file that cannot be read.
    """
    given = {} if lexicon is None else {"task": _by_lexicon(task, path_of(lexicon, "lexicon"))}
    found = draft(task, file, given=given, head=head, watch=watch)
    settings = settings_of(parse(yaml.safe_dump(dict(found.tree), allow_unicode=True, sort_keys=False), str(file)))
    said = (*found.said, f"{found.size}; the config says why, after `here:`.")
    for line in said:
        (watch or NoCallback()).note(line)
    return f"{MODELINE}\n{config_text(settings.resolved, settings.schema, said, found.reasons)}"


@in_float32
def draft(
    task: str,
    file: AnyPath,
    *,
    given: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    head: str | None = None,
    watch: Listener | None = None,
) -> Draft:
    """What `init` chooses, as a tree. given: options of the sections task and data that are not to be guessed

    watch: hears what a task is called, where that is not the word that was given
    Raises as `init` does; ConfigError also for an option that is given and is none.
    """
    watch = watch or NoCallback()
    asked, task, file = task, _task_called(task, watch), path_of(file, "file")
    if any("\udc80" <= character <= "\udcff" for character in str(file)):  # bytes that Python could not decode
        raise ConfigError(f"{file}: its name is not UTF-8, so no config can hold it. Rename it.")
    heard = _Notes()
    parts = _parts(file, heard)
    file = parts.get("train", file)
    plan, own, data = TASKS[task], dict(given.get("task", {})), dict(given.get("data", {}))
    ours = {**(plan.called(plain(asked)) if isinstance(plan, NamedByMethod) else {}), **own}
    model = ours.pop("model", None)
    word = data.pop("format", None) or (plan.format_of(file) if isinstance(plan, NamesFormat) else "auto")
    if word == "auto" and recognised(file)[1]:
        heard.note(read_as(file))
    reading = {name: value for name, value in data.items() if name in FILE_OPTIONS}
    rows, number = _first_rows(read(file, format=word, note=heard.note, **reading), file, word)
    rows, paths = with_nested(rows)
    named = _columns_given(task, rows, file, own)
    found, shown = _suggested(plan, rows, file, ours, named)
    if "columns" in found.data and not named and "columns" not in data:
        data["columns"] = found.data["columns"]
        shown = list(islice(read(file, format=word, columns=data["columns"]), LOOK))
    chosen: dict[str, Any] = {"task": {"name": task, **found.task, **ours}, "data": {"train": str(file)}}
    chosen["data"] |= {name: str(parts[name]) for name in ("dev", "test") if name in parts}
    chosen |= {} if model is None else {"model": {"name": model}}
    others = {name: value for name, value in found.data.items() if name != "columns"}
    chosen["data"] |= {**({} if word == "auto" else {"format": word}), **others, **data}
    if nested := {
        name: paths[name] for name in chain.from_iterable(map(_names, chosen["task"].values())) if name in paths
    }:
        chosen["data"]["columns"] = {**(data["columns"] if isinstance(data.get("columns"), Mapping) else {}), **nested}
    if head is not None:
        _refuse_head(task, head)
        chosen["model"] = {**chosen.get("model", {}), "head": {"name": head}}
    seen = Seen(shown, number, head or "")
    options = {**chosen["task"], **{key: key for key in named}, **({} if model is None else {"model": model})}
    choices = plan.sized(options, seen) if isinstance(plan, ChoosesBySize) else usual(seen)
    _put(chosen, choices)
    return Draft(
        chosen,
        (*heard.messages, *found.said),
        in_words(choices, seen),
        {one.path: one.why for one in choices if one.why},
    )


def _put(chosen: dict[str, Any], choices: Sequence[Choice]) -> None:
    """Write choices into the sections of a config."""
    for choice in choices:
        *places, name = choice.path.split(".")
        section = chosen
        for place in places:
            section = section.setdefault(place, {})
        section[name] = choice.value


def _refuse_head(task: str, head: str) -> None:
    """Raise ConfigError for a head that the models of a task do not have."""
    known = TASKS[task].needs.parts.get("head", ())
    if head not in known:
        fits = f"expected one of {', '.join(known)}" if len(known) > 1 else "its models have no choice of heads"
        raise ConfigError(f"head: '{head}' does not fit {task}; {fits}.{did_you_mean(head, known)}")


def _by_lexicon(asked: str, file: Path) -> Mapping[str, Any]:
    """The options of a task with this file. Raises ConfigError for a task that says no words by pronunciations."""
    task = _task_called(asked, NoCallback())
    plan: Any = TASKS[task]
    if not isinstance(plan, TakesLexicon):
        raise ConfigError(f"lexicon: {task} says no words by their pronunciations; leave it out.")
    found: Mapping[str, Any] = plan.by_lexicon(str(file))
    return found


def _task_called(asked: str, watch: Listener) -> str:
    """The word of a task, from one of its names. Raises ConfigError."""
    task = TASKS.called(text_of(asked, "task"))
    if meant := SEVERAL.get(asked.strip().lower()):
        raise ConfigError(f"'{asked}': several tasks are called so; expected {meant}.")
    if asked != task:
        watch.note(f"'{asked}' is an example of the task {task}.")
    return task


def _columns_given(
    task: str, rows: Sequence[Record], file: Path, given: Mapping[str, Any]
) -> Mapping[str, tuple[str, ...]]:
    """The columns that are given, by the options that name them.

    Raises ConfigError; DataError for a column that is not there.
    """
    if not given:
        return {}
    tree = {"task": {"name": task, **given}, "data": {"train": str(file)}}
    fields = settings_of(document_of(tree), to_train=False).plan.fields
    named = {key: names for key, value in given.items() if (names := _names(value)) and set(names) <= set(fields)}
    for name in chain.from_iterable(named.values()):
        field(rows[0], name)
    return named


def _suggested(
    plan: type[TaskConfig],
    rows: Sequence[Record],
    file: Path,
    given: Mapping[str, Any],
    named: Mapping[str, tuple[str, ...]],
) -> tuple[Suggestion, Sequence[Record]]:
    """What the task suggests for these rows, and the rows as it saw them: a column that is given stands under the name
    of its option, by which it is found."""
    shown = [_shown(row, named) for row in rows] if named else rows
    while True:
        found = plan.suggested(shown, file)
        wrong = {found.task[key] for key in named if found.task.get(key, key) != key}
        if not wrong:
            said = tuple(_as_given(line, named, given) for line in found.said)
            return Suggestion(found.task, found.data, tuple(filter(None, said))), shown
        shown = [Record({k: v for k, v in row.fields.items() if k not in wrong}, row.origin) for row in shown]


def _names(value: Any) -> tuple[str, ...]:
    """The columns that an option may name."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    return names if all(isinstance(name, str) for name in names) else ()


def _shown(row: Record, named: Mapping[str, tuple[str, ...]]) -> Record:
    """A row with the columns that are given under the names of their options."""
    taken = {spelt(name, row.fields) for names in named.values() for name in names}
    cells = {key: [field(row, name) for name in names] for key, names in named.items()}
    joined = {key: values[0] if len(values) == 1 else "\n".join(map(str, values)) for key, values in cells.items()}
    rest = {name: value for name, value in row.fields.items() if name not in taken and name not in named}
    return Record(joined | rest, row.origin)


def _as_given(line: str, named: Mapping[str, tuple[str, ...]], given: Mapping[str, Any]) -> str:
    """A line of what was chosen; "" for one on an option that is given, but for its column, which is said as given."""
    key = line.partition(":")[0]
    if key in named:
        return line.replace(f"column '{key}', by its name", f"column {' and '.join(map(repr, named[key]))}, as given")
    return "" if key in given else line


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
    if is_sharded(file) or not FORMATS[resolved_format(file) if word == "auto" else word].by_line:
        return rows, len(rows) + sum(1 for _ in records)
    last = rows[-1].origin.line
    if last is None or not (is_pattern(file) or file.is_file()):  # a pipe is read once
        return rows, len(rows)
    return rows, max(len(rows), round(num_lines(file) * len(rows) / last))


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
    load_vectors(settings.training, model, prepared.task, heard)
    if said := load_published(model):
        heard.note(said)
    parameters = sum(p.numel() for p in model.parameters())
    return Checked(settings.tree, tuple(heard.messages), {**prepared.facts, "parameters": parameters})


class _Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        self.messages.append(message)
