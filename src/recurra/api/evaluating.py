"""Evaluate, predict: what a trained run says about other rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from recurra.api.answering import device_of, outputs
from recurra.api.folder import Run, open_run, open_settings
from recurra.api.prepare import note_shared, prepare, read_rows, usable
from recurra.api.watching import Nobody
from recurra.base.contracts import Listener, Record, Report, Watcher
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import read
from recurra.tasks.blank import blank_remarks

# Rows that are read, answered and given out together: enough to make batches of like lengths.
CHUNK = 1024


def evaluate(
    run: Path,
    file: Path | None = None,
    *,
    split: str = "test",
    device: str = "auto",
    cells: Iterable[Path] = (),
    watch: Watcher | None = None,
) -> Report:
    """Score a run on a file, or on the split of that name of its own data; the baselines stand beside it.

    Raises ConfigError if the run's data has no such split, DataError for a label that training never saw.
    """
    watch = watch or Nobody()
    trained = open_run(run, cells)
    target = device_of(device)
    trained.model.to(target)
    own = _own_splits(trained, watch, needed=file is None)
    if file is not None:
        split = file.name
        rows = read_rows(file, trained.settings, watch, then=" Skipped rows count in no score.")
        examples = usable(trained.task, [trained.task.example(record) for record in rows], split, watch)
        note_shared(own.get("train", ()), examples, split, watch)
        for message in blank_remarks(examples, ", and are scored as answered from nothing"):
            watch.note(f"{split}: {message}")
    elif split in own:
        examples = own[split]
    else:
        raise ConfigError(f"{run}: its data has no split '{split}'. Known: {', '.join(own)}; or give a file.")
    answers = outputs(trained.model, trained.task, examples, device=target)
    scores = trained.task.score(answers, examples, split)
    compared = trained.task.baselines(own["train"], {split: examples}) if own else None
    for message in compared.notes if compared else ():
        watch.note(message)
    return Report(
        title=f"{run.resolve().name} on {split}",
        scores=scores,
        baselines=compared.scores if compared else {},
        tables=trained.task.tables(answers, examples),
        facts=trained.task.facts({split: examples}),
    )


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


def predict(
    run: Path | Run,
    records: Iterable[Record],
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[Path] = (),
    watch: Listener | None = None,
) -> Iterator[dict[str, Any]]:
    """One plain dict for each record, in order; labels are not needed. Reads lazily, a thousand rows at a time.

    options: how to answer, as the run's task has it: beam, n_best and attention of a translation
    Raises ConfigError for an option that the task does not have.
    """
    trained = run if isinstance(run, Run) else open_run(run, cells)
    target = device_of(device)
    task = trained.task.asking(options or {})
    trained.model.to(target)
    waiting, watch = iter(records), watch or Nobody()
    while chunk := list(islice(waiting, CHUNK)):
        examples = [task.example(record, gold=False) for record in chunk]
        answers = outputs(trained.model, task, examples, device=target)
        for message in task.remarks(answers, examples):
            watch.note(message)
        yield from map(task.answer, examples, answers)


def read_for(run: Path, file: Path, *, cells: Iterable[Path] = ()) -> Iterator[Record]:
    """The records of a file, read as the run's config says; the label column may be missing."""
    _, settings = open_settings(run, cells)
    return read(file, format=settings.data.format, columns=settings.data.columns, fields=(settings.plan.input_field,))


def text_column(run: Path, *, cells: Iterable[Path] = ()) -> str:
    """The field of a record that a run reads."""
    _, settings = open_settings(run, cells)
    return settings.plan.input_field
