"""Evaluate, predict: what a trained run says about other rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from recurra.api.answering import device_of, outputs
from recurra.api.defaults import in_float32
from recurra.api.folder import Run, open_settings, opened
from recurra.api.given import AnyPath, Row, are_rows, path_of, records_of
from recurra.api.prepare import good_rows, note_shared, prepare, read_rows, usable
from recurra.api.schema import Settings
from recurra.api.watching import Nobody
from recurra.base.contracts import Listener, Record, Report, Watcher
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import read
from recurra.tasks import Task
from recurra.tasks.blank import blank_remarks

# Rows that are read, answered and given out together: enough to make batches of like lengths.
CHUNK = 1024


@in_float32
def evaluate(
    run: AnyPath | Run,
    file: AnyPath | Iterable[Row] | None = None,
    *,
    split: str = "test",
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Watcher | None = None,
) -> Report:
    """Score a run on a file, or on the split of that name of its own data; the baselines stand beside it.

    file: a path, or rows as dicts
    Raises ConfigError if the run's data has no such split, DataError for a label that training never saw.
    """
    watch = watch or Nobody()
    trained = opened(run, cells)
    where = trained.folder.path
    target = device_of(device)
    trained.model.to(target)
    own = _own_splits(trained, watch, needed=file is None)
    if file is not None:
        split, rows = _given_rows(file, trained.settings, watch)
        examples = usable(trained.task, [trained.task.example(record) for record in rows], split, watch)
        note_shared(own.get("train", ()), examples, split, watch)
        for message in blank_remarks(examples, ", and are scored as answered from nothing"):
            watch.note(f"{split}: {message}")
    elif split in own:
        examples = own[split]
    else:
        raise ConfigError(f"{where}: its data has no split '{split}'. Known: {', '.join(own)}; or give a file.")
    answers = outputs(trained.model, trained.task, examples, device=target)
    scores = trained.task.score(answers, examples, split)
    compared = trained.task.baselines(own["train"], {split: examples}) if own else None
    for message in compared.notes if compared else ():
        watch.note(message)
    return Report(
        title=f"{where.resolve().name} on {split}",
        scores=scores,
        baselines=compared.scores if compared else {},
        tables=trained.task.tables(answers, examples),
        facts=trained.task.facts({split: examples}),
    )


def _given_rows(file: Any, settings: Settings, watch: Listener) -> tuple[str, list[Record]]:
    """The name and the rows of what is to be scored."""
    then = " Skipped rows count in no score."
    if are_rows(file):
        return "rows", good_rows(records_of(file, settings.plan.input_field), "rows", settings, watch, then)
    path = path_of(file, "file")
    return path.name, read_rows(path, settings, watch, then)


def _own_splits(trained: Run, watch: Watcher, *, needed: bool) -> Mapping[str, list[Any]]:
    """The examples of the run's own data; none if it cannot be read and only the baselines need it."""
    try:
        prepared = prepare(trained.settings, watch, task=trained.task)
    except DataError as error:
        if needed:
            raise
        watch.note(f"no baselines, because the training data cannot be read: {error}")
        return {}
    if prepared.fingerprint != trained.fingerprint:
        watch.note("the run's own data is not what it was trained on: rows of dev and test may have been learned from.")
    return prepared.splits


@in_float32
def predict(
    run: AnyPath | Run,
    records: Iterable[Row] | Mapping[str, Any] | str,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Iterator[dict[str, Any]]:
    """One plain dict for each record, in order; labels are not needed. Reads lazily, a thousand rows at a time.

    records: texts, dicts (rows as a data file has them) or records; a single text or dict is one row
    options: how to answer, as the run's task has it: beam, n_best and attention of a translation
    Raises ConfigError, at once, for an option that the task does not have or records that are none.
    """
    trained = opened(run, cells)
    target = device_of(device)
    task = trained.task.asking(options or {})
    trained.model.to(target)
    waiting = records_of(records, trained.settings.plan.input_field)
    return _answers(trained.model, task, waiting, target, watch or Nobody())


def _answers(
    model: torch.nn.Module, task: Task, waiting: Iterator[Record], device: torch.device, watch: Listener
) -> Iterator[dict[str, Any]]:
    while chunk := list(islice(waiting, CHUNK)):
        examples = [task.example(record, gold=False) for record in chunk]
        answers = outputs(model, task, examples, device=device)
        for message in task.remarks(answers, examples):
            watch.note(message)
        yield from map(task.answer, examples, answers)


@in_float32
def read_for(run: AnyPath, file: AnyPath, *, cells: Iterable[AnyPath] = ()) -> Iterator[Record]:
    """The records of a file, read as the run's config says; the label column may be missing."""
    _, settings = open_settings(run, cells, to_train=False)
    path, field = path_of(file, "file"), settings.plan.input_field
    return read(path, format=settings.data.format, columns=settings.data.columns, fields=(field,))


@in_float32
def text_column(run: AnyPath, *, cells: Iterable[AnyPath] = ()) -> str:
    """The field of a record that a run reads."""
    _, settings = open_settings(run, cells, to_train=False)
    return settings.plan.input_field
