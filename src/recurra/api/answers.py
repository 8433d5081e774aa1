"""Answers beside the rows that they are for, and the columns that an answer makes in a file of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, open_settings, opened
from recurra.api.fusing import with_fusion
from recurra.api.given import AnyPath, Row, overrides_of, path_of, records_of
from recurra.api.inference import device_of, moved, outputs
from recurra.api.layout import fields_for, laid_out
from recurra.api.schema import Settings, settings_of
from recurra.base.answers import Answer
from recurra.base.contracts import Listener, Record
from recurra.base.errors import ConfigError, DataError
from recurra.base.words import counted
from recurra.config import override
from recurra.data.formats import ON_ERROR, BadRows, Shard, StopAtBadRow, read, read_as, recognised, unsigned
from recurra.tasks import AnswerKind, SaysLabels, TagsTokens, Task
from recurra.tasks.options import task_with

# Rows that are read, answered and given out together: enough to make batches of like lengths.
CHUNK = 1024
# What a trained run lets be set of how a file is read.
OF_FILES = (
    "data.format", "data.columns", "data.delimiter", "data.encoding", "data.sheet", "data.offsets", "data.layout",
    "data.on_error",
)  # fmt: skip
# Labels whose probabilities get a column each unless somebody says otherwise; a sheet of more is hard to read.
MOST_COLUMNS = 50


# What an answer says, by its kind; one that is a probability says nothing else.
_PREDICTED: Mapping[AnswerKind, tuple[str, ...]] = {
    "label": ("label", "labels"),
    "text": ("output",),
    "tags": ("spans", "tokens"),
    "span": ("answer",),
    "fill": ("output",),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file of rows to answer for. format: its word; encoding: as the config has it

    bad_rows: takes what cannot be read, and counts it
    """

    path: Path
    format: str
    encoding: str | None
    records: Iterator[Record]
    bad_rows: BadRows


@dataclass(frozen=True, slots=True)
class Answered:
    """A record with its answer. tokens, tags: as the run's files write them; None of a task that tags no tokens.

    form: how a file has the tags of such a row, as a list or with spaces between them; None: as spans of a text
    """

    record: Record
    answer: Answer
    tokens: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    form: Literal["list", "spaced"] | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of answers. labels: those that get a column for their probability

    separator: between labels in one cell; None where they stand in a list, and in JSON always
    kind: of the answers      input_key: under which they repeat what was asked
    """

    labels: tuple[str, ...]
    separator: str | None
    kind: AnswerKind
    input_key: str

    def of(self, one: Answered) -> dict[str, Any]:
        """`predicted`, `score`, `probability_X` for each label, and what else the answer has; not what was asked."""
        left_out = {self.input_key} | (
            {"tags"} if self.kind == "tags" else set()
        )  # with spans, tags are for JSON alone
        answer = {name: value for name, value in one.answer.to_dict().items() if name not in left_out}
        said = next((name for name in _PREDICTED.get(self.kind, ()) if name in answer), None)
        found = {} if said is None else {"predicted": answer.pop(said)}
        numbers = answer.pop(self.kind, {}) if self.kind in ("numbers", "reconstruction") else {}
        found |= {"predicted" if len(numbers) == 1 else f"predicted_{name}": n for name, n in numbers.items()}
        found |= {f"deviation_{name}": n for name, n in answer.pop("deviations", {}).items()}
        if one.tags is not None and one.form is not None:
            found["predicted"] = list(one.tags) if one.form == "list" else " ".join(one.tags)
        probabilities = answer.pop("probabilities", None)
        found |= {"score": answer.pop("score")} if "score" in answer else {}
        if probabilities is not None:
            found |= {f"probability_{label}": probabilities.get(label) for label in self.labels}
        return found | answer


def columns_of(run: OpenRun, *, probabilities: bool | None = None, watch: Listener | None = None) -> Columns:
    """The columns of a run's answers. probabilities: of each label; None: of at most 50 labels, which is said."""
    task = run.task
    labels, separator = (task.labels, task.separator) if isinstance(task, SaysLabels) else ((), None)
    if probabilities is None and len(labels) > MOST_COLUMNS:
        (watch or NoCallback()).note(
            f"{len(labels):,} labels are too many for a column each, so their probabilities are left out; "
            "--probabilities all writes them."
        )
    wanted = len(labels) <= MOST_COLUMNS if probabilities is None else probabilities
    fits = separator is not None and not any(separator in label for label in labels)
    return Columns(labels if wanted else (), separator if fits else None, task.answer_kind, task.input_key)


@in_float32
def source_for(
    run: AnyPath | OpenRun,
    file: AnyPath | Shard,
    *,
    format: str | None = None,
    overrides: Sequence[str] = (),
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Source:
    """A file, read as the run's config says; the label column may be missing.

    file: or one of several; then it may have no row      format: its word; None: as the config says, or as recognised
    overrides: "data.on_error=skip" and the like: `OF_FILES`
    watch: told what is found about the file
    Raises ConfigError for other settings.
    """
    settings = run.settings if isinstance(run, OpenRun) else open_settings(run, cells, to_train=False)[1]
    settings = with_data(settings, overrides, "predict", OF_FILES)
    path, data = file if isinstance(file, Shard) else Path(unsigned(str(path_of(file, "file")))), settings.data
    bad_rows = ON_ERROR[data.on_error]()
    fields = fields_for(settings, (settings.plan.inputs[0].name,))
    note = (watch or NoCallback()).note
    if format is None and data.format == "auto":
        format, why = recognised(path)
        if why:
            note(read_as(path, (format, why)))
    format = format or data.format
    records = read(
        path, format=format, **data.reading, fields=fields, bad_rows=bad_rows, note=note, scratch=data.scratch
    )
    laid = laid_out(records, settings, bad_rows, note=lambda said: note(f"{path}: {said}"))
    return Source(Path(str(path)), format, data.encoding, laid, bad_rows)


def with_data(settings: Settings, overrides: Sequence[str], verb: str, allowed: Sequence[str]) -> Settings:
    """The settings with how data is read changed. Raises ConfigError for what else a trained run keeps."""
    given = overrides_of(overrides)
    keys = [one.partition("=")[0].strip() for one in given]
    problems = [
        f"--set {key}: has no effect on {verb}, because a trained run keeps its settings. Known: {', '.join(allowed)}."
        for key in keys
        if key not in allowed
    ]
    if problems:
        raise ConfigError(problems)
    return settings_of(override(settings.resolved.document, given), to_train=False) if given else settings


@in_float32
def answered(
    run: AnyPath | OpenRun,
    records: Source | Iterable[Row] | Mapping[str, Any] | str,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Iterator[Answered]:
    """Each record with its answer, in order, as `predict`; rows that a source skips are left out and named."""
    trained = opened(run, cells)
    target = device_of(device)
    task = task_with(trained.task, with_fusion(options or {}), str(trained.settings.tree["task"]["name"]))
    moved(trained.model, target)
    given = records.records if isinstance(records, Source) else records
    waiting = records_of(given, trained.settings.plan.inputs[0].name)
    source = records if isinstance(records, Source) else None
    return _answered(trained.model, task, waiting, source, target, watch or NoCallback())


def _answered(
    model: torch.nn.Module,
    task: Task,
    waiting: Iterator[Record],
    source: Source | None,
    device: torch.device,
    watch: Listener,
) -> Iterator[Answered]:
    bad_rows = source.bad_rows if source else StopAtBadRow()
    number = 0
    while chunk := list(islice(waiting, CHUNK)):
        read = list(_read(chunk, task, bad_rows))
        examples = [example for _, example in read]
        said = outputs(model, task, examples, device=device)
        for message in task.warnings(said, examples):
            watch.note(message)
        for (record, example), output in zip(read, said, strict=True):
            number += 1
            yield _with_tags(task, record, example, output)
    if source and bad_rows.count:
        _name_skipped(source, number, watch)


def _read(chunk: Iterable[Record], task: Task, bad_rows: BadRows) -> Iterator[tuple[Record, Any]]:
    for record in chunk:
        try:
            example = task.example(record, gold=False)
        except DataError as problem:
            bad_rows.refuse(problem)
        else:
            yield record, example


def _with_tags(task: Task, record: Record, example: Any, output: Any) -> Answered:
    answer = task.answer(example, output)
    if not isinstance(task, TagsTokens):
        return Answered(record, answer)
    found = task.in_columns(record, example, output)
    return Answered(record, answer, found.tokens, found.tags, found.form)


def _name_skipped(source: Source, number: int, watch: Listener) -> None:
    """Say how many rows have no answer, and name the first of them. Raises DataError if no row has one."""
    examples = source.bad_rows.examples
    if not number:
        count = source.bad_rows.count
        skipped = "its only row was" if count == 1 else f"all {count:,} rows were"
        raise DataError(f"{source.path}: {skipped} skipped. The first: {examples[0]}")
    skipped = counted(source.bad_rows.count, "broken row was", "broken rows were")
    watch.note(f"{source.path}: {skipped} skipped and have no answer, {number} have one:")
    for example in examples:
        watch.note(example)
    if (more := source.bad_rows.count - len(examples)) > 0:
        watch.note(f"... and {more} more.")
