"""Evaluate, predict: what a trained run says about other rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.api.answers import OF_FILES, Source, answered, source_for, with_data
from recurra.api.baselines import compared
from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.fingerprint import doubt
from recurra.api.folder import OpenRun, open_settings, opened
from recurra.api.fusing import with_fusion
from recurra.api.given import AnyPath, Row, are_rows, path_of, records_of
from recurra.api.inference import device_of, outputs
from recurra.api.prepare import examples_of, filter_examples, good_rows, means_of, note_shared, prepare, read_rows
from recurra.api.schema import Settings
from recurra.base.contracts import Callback, Listener, Record, Report
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import unsigned
from recurra.data.preparing import Means
from recurra.tasks.blank import blank_warnings
from recurra.tasks.options import task_with

# What a run's own data may be: read in another way, or from where it is now.
OF_DATA = (*OF_FILES, "data.train", "data.dev", "data.test")


@in_float32
def evaluate(
    run: AnyPath | OpenRun,
    file: AnyPath | Iterable[Row] | None = None,
    *,
    split: str = "test",
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Callback | None = None,
) -> Report:
    """Score a run on a file, or on the split of that name of its own data; the baselines stand beside it.

    file: a path, or rows as dicts      overrides: how data is read, such as "data.on_error=skip"; without a file also
      where the run's own data is (data.train, data.dev, data.test)      options: how to answer, as `predict` has them
    Raises ConfigError if the run's data has no such split, or its task no such option; DataError for a label that
    training never saw.
    """
    watch = watch or NoCallback()
    trained = opened(run, cells)
    where = trained.folder.path
    task = task_with(trained.task, with_fusion(options or {}), str(trained.settings.tree["task"]["name"]))
    settings = with_data(trained.settings, overrides, "evaluate", OF_DATA if file is None else OF_FILES)
    target = device_of(device)
    trained.model.to(target)
    means = means_of(settings, watch)
    # A file may be read in another way than the run's own data.
    own = _own_splits(trained, settings if file is None else trained.settings, watch, needed=file is None)
    if file is not None:
        split, rows = _given_rows(file, settings, watch, means)
        examples = filter_examples(trained.task, examples_of(trained.task, rows, means), split, watch)
        note_shared(own.get("train", ()), examples, split, watch)
        for message in blank_warnings(examples, ", and are scored as answered from nothing"):
            watch.note(f"{split}: {message}")
    elif split in own:
        examples = own[split]
    else:
        raise ConfigError(f"{where}: its data has no split '{split}'. Known: {', '.join(own)}; or give a file.")
    answers = outputs(trained.model, task, examples, device=target)
    scores = task.score(answers, examples, split)
    beside = compared(trained.task, own["train"], {split: examples}) if own else None
    for message in beside.notes if beside else ():
        watch.note(message)
    return Report(
        title=f"{where.resolve().name} on {split}",
        scores=scores,
        baselines=beside.scores if beside else {},
        tables=task.tables(answers, examples),
        facts=trained.task.facts({split: examples}),
    )


def _given_rows(file: Any, settings: Settings, watch: Listener, means: Means) -> tuple[str, Sequence[Any]]:
    """The name and the rows of what is to be scored."""
    then = " Skipped rows count in no score."
    if are_rows(file):
        return "rows", good_rows(records_of(file, settings.plan.inputs[0].name), "rows", settings, watch, means, then)
    path = Path(unsigned(str(path_of(file, "file"))))
    # Rows of the split train are chosen to be learned from, and what a file is called chooses nothing.
    name = "/".join(path.absolute().parts[-2:]) if path.name == "train" else path.name
    return name, read_rows(path, settings, watch, means, then)


def _own_splits(trained: OpenRun, settings: Settings, watch: Callback, *, needed: bool) -> Mapping[str, Sequence[Any]]:
    """The examples of the run's own data; none if it cannot be read and only the baselines need it."""
    try:
        prepared = prepare(settings, watch, task=trained.task)
    except DataError as error:
        if needed:
            raise
        watch.note(f"no baselines, because the training data cannot be read: {error}")
        return {}
    if said := doubt(trained.fingerprint, prepared.fingerprint):
        watch.note(said)
    return prepared.splits


@in_float32
def predict(
    run: AnyPath | OpenRun,
    records: Source | Iterable[Row] | Mapping[str, Any] | str,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Iterator[dict[str, Any]]:
    """One plain dict for each record, in order; labels are not needed. Reads lazily, a thousand rows at a time.

    records: texts, dicts (rows as a data file has them) or records, a single text or dict is one row; or what
      `source_for` makes of a file
    options: how to answer, as the run's task has it: beam, n_best and attention of a translation
    Raises ConfigError, at once, for an option that the task does not have or records that are none.
    """
    rows = answered(run, records, options=options, device=device, cells=cells, watch=watch)
    return (one.answer.to_dict() for one in rows)


@in_float32
def read_for(run: AnyPath, file: AnyPath, *, cells: Iterable[AnyPath] = ()) -> Iterator[Record]:
    """The records of a file, read as the run's config says; the label column may be missing."""
    return source_for(run, file, cells=cells).records


@in_float32
def text_column(run: AnyPath, *, cells: Iterable[AnyPath] = ()) -> str:
    """The field of a record that a run reads."""
    _, settings = open_settings(run, cells, to_train=False)
    return settings.plan.inputs[0].name
