"""From the files that a config names to examples in splits, and what a person should know about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from recurra.api.ceilings import ceiling
from recurra.api.fingerprint import fingerprint
from recurra.api.group_leaks import GroupColumns, columns_apart, note_shared_groups
from recurra.api.layout import fields_for, groups_of, laid_out, layout_of
from recurra.api.options import DataOptions
from recurra.api.preparing import WatchesPreparation, Watching
from recurra.api.pretrained_vectors import extra_words, refuse_untaken
from recurra.api.rereading import examples_again, fitted, in_files, set_aside
from recurra.api.schema import Settings
from recurra.base.contracts import Listener, Record, Score
from recurra.base.errors import ConfigError, DataError
from recurra.base.importing import uncollected
from recurra.base.words import counted
from recurra.config import build
from recurra.data.formats import ON_ERROR, BadRows, Exchange, agreed, is_sharded, read, read_as, recognised, shards_of
from recurra.data.formats.parallel import is_pattern, parallel_paths
from recurra.data.group_splits import GroupAssignment, group_of, grouped_by
from recurra.data.preparing import Means
from recurra.data.splits import SPLITS, TEST_PLACE, OrderedSplit, SplitRule, overlap, parted, runs_of, stored_overlap
from recurra.data.store import InMemory, Keeping, OnDisk, Reread, RereadRows, Scratch, Stored
from recurra.data.store.scratch import scratch_folder
from recurra.data.tokenizers.workers import cores
from recurra.tasks import (
    CutsRows,
    KeepsExamples,
    KeepsRows,
    LabelsRows,
    LeavesOut,
    ReadsOn,
    ReadsOnce,
    Row,
    Task,
    splits_of,
)

# Bytes of files from which on prepared data is on the disk; how many times as much it takes there, at most; and how
# many times as long gzip and Parquet files are unpacked, about.
ON_DISK, TIMES, PACKED = 2**23, 5, 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples by split ("train", "dev", perhaps "test"), the task that read them, notes and sizes.

    fingerprint: of what is learned from and chosen by, in order; a resumed run must find the same
    """

    task: Task
    splits: Mapping[str, Sequence[Any]]
    notes: tuple[str, ...]
    facts: Mapping[str, str | int | float]
    fingerprint: str


def prepare(
    settings: Settings, watch: Listener, *, task: Task | None = None, exchange: Exchange | None = None
) -> Prepared:
    """Read the data, split it, fit the task on the training rows (unless one is given), and make examples.

    exchange: the ranks that all prepare this data, and of several files read each its own; None: this process alone
    Raises DataError, with file and line, for data that cannot be learned from, and for a disk that is full.
    """
    heard = _Notes(watch)
    with uncollected():  # rows are made by the million, and none is part of a cycle
        return _prepared(settings, heard, task, exchange)


def _prepared(settings: Settings, heard: _Notes, task: Task | None, exchange: Exchange | None) -> Prepared:
    means = replace(means_of(settings, heard), exchange=exchange)
    rows = split_rows(settings, heard, means)
    splits: dict[str, Sequence[Any]] = {}
    if task is None:
        means = replace(means, extra=extra_words(settings.training))
        task, splits["train"] = _fitted(settings, rows.pop("train"), means)
        refuse_untaken(means.extra, settings.training)
    for name in list(rows):
        own = rows.pop(name)
        if name == "train" and isinstance(own, RereadRows):
            splits[name] = examples_again(task, own, means, settings.data.shuffle_buffer or 1)
        else:
            splits[name] = examples_of(task, own, means, learned_from=name == "train")
    splits, facts = _checked(task, splits, heard)
    for name, value in facts.items():
        if name.endswith("texts cut"):
            heard.note(f"{name}: {value}")
    return Prepared(task, splits, tuple(heard.messages), facts, fingerprint(splits))


def _checked(
    task: Task, splits: Mapping[str, Sequence[Any]], heard: _Notes
) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """The examples that the task can use, and its facts on them; both are found in one pass over files."""

    def usable() -> dict[str, Sequence[Any]]:
        found: dict[str, Sequence[Any]] = {}
        for name, examples in splits.items():
            found[name] = filter_examples(task, examples, name, heard)
            if name != "train":
                note_shared(found["train"], found[name], name, heard)
        return found

    train = splits["train"]
    if not isinstance(train, Reread):
        found = usable()
        return found, task.facts(found)
    found, facts = train.read_by(usable, lambda: task.facts(splits))
    if all(found[name] is examples for name, examples in splits.items()):
        return found, facts
    return found, task.facts(found)  # of what was left out nothing is to be said


def selected(settings: Settings, prepared: Prepared, watch: Listener) -> str:
    """The dev score that chooses the best epoch; scores that cannot reach their best value are said.

    auto: the usual one of the task, unless it is 0 for the right answers themselves: then the next that is not
    Raises ConfigError for one that this data does not have, or that is 0 for the right answers.
    """
    names: dict[str, Score] = {s.name: s for s in prepared.task.possible_scores(prepared.splits["dev"])}
    found = ceiling(prepared.task, prepared.splits["dev"])
    word = settings.training.select
    if word != "auto" and (word not in names or names[word].better == "neither"):
        known = ", ".join(name for name, score in names.items() if score.better != "neither")
        raise ConfigError(f"training.select: there is no score '{word}' to choose by. Known: {known}.")
    if found.stuck(word):
        reasons = " ".join([*found.doubts, "Choose another score, or give other rows for dev."])
        raise ConfigError(
            f"training.select: {word} cannot tell one epoch from another, as the right answers of dev themselves score "
            f"0: {reasons}"
        )
    found.say("dev", watch)
    return found.telling(prepared.task.usual_score, names.values()) if word == "auto" else word


def split_rows(settings: Settings, watch: Listener, means: Means) -> dict[str, Collection[Row]]:
    """The rows of each split: files where they are named, the rest taken from train."""
    data = settings.data
    found: dict[str, Collection[Row]]
    groups = {name: _groups_of(settings) for name in ("train", "dev", "test") if getattr(data, name) is not None}
    places = None
    if data.dev is None:
        train, found, places = _divided(settings, watch, means, groups["train"])
    else:
        train = _seen(data.train, settings, watch, means, groups["train"], rereads=True)
        found = {"train": train, "dev": _seen(data.dev, settings, watch, means, groups["dev"])}
    if data.test is not None:
        found["test"] = _seen(data.test, settings, watch, means, groups["test"])
    note_shared_groups(groups, watch, places=places)
    for name, rows in found.items():
        if not rows:
            raise DataError(_why_none_for(name, train, settings))
    return found


def _groups_of(settings: Settings) -> GroupColumns:
    return GroupColumns(columns_apart(settings, layout_of(settings)), groups_of(settings))


def _seen(
    path: str, settings: Settings, watch: Listener, means: Means, groups: GroupColumns, *, rereads: bool = False
) -> Sequence[Row]:
    """All rows of a file, and the groups that it has."""
    return read_rows(Path(path), settings, watch, means, see=lambda _, record: groups.see(record), rereads=rereads)


def _why_none_for(name: str, train: Collection[Row], settings: Settings) -> str:
    """Why a split has no rows: few rows, or none of a class that could go there."""
    plan = settings.plan
    rows, source = counted(len(train), "row"), settings.data.train
    more = f"Give more rows, or a file for {name}."
    if by := groups_of(settings):
        return f"{source}: no group is left for {name}: {rows} are of too few groups ({', '.join(by)}). {more}"
    classes, keys = {row.stratum for row in train}, {row.key for row in train}
    if not 1 < len(classes) >= len(keys):
        same = f", {len(keys):,} different, and equal ones stay in one split" if len(keys) < len(train) else ""
        return f"{source}: no row is left for {name} out of {rows}{same}. {more}"
    label = plan.label if isinstance(plan, LabelsRows) else None
    swap = "" if label is None else f"If column '{label}' holds the texts, swap task.text and task.label. "
    return (
        f"{source}: no row can go to {name}: {rows} hold {len(classes):,} different "
        f"{'groups' if label is None else 'labels'}, and each keeps one of its texts in train. {swap}{more}"
    )


def read_rows(
    path: Path,
    settings: Settings,
    watch: Listener,
    means: Means,
    then: str = "",
    see: Callable[[Row, Record], None] | None = None,
    also: Sequence[str] = (),
    *,
    rereads: bool = False,
) -> Sequence[Row]:
    """All rows of a file that the task can learn from; others stop, or are skipped and counted, as the config says.

    then: what follows from skipped rows, a sentence for the message      see: told of each row, in order
    also: columns that every row must have besides those of the task
    rereads: they stay in their files where `data.shuffle_buffer` says so
    Raises DataError if none is good.
    """
    data: DataOptions = settings.data
    format = data.format
    if format == "auto":
        format, why = agreed(means.exchange, lambda: recognised(path))  # once: of a file elsewhere it takes a copy
        watch.note(read_as(path, (format, why)))
    bad_rows = ON_ERROR[data.on_error]()
    fields = fields_for(settings, tuple(dict.fromkeys((*settings.plan.fields, *also))))
    cursor = None
    if rereads and data.shuffle_buffer is not None:
        # Who is told of each row hears it once; rows that have no group are refused again.
        has_group = (lambda _, record: group_of(record, also)) if also else None
        good = partial(_good, settings.plan, has_group)
        keeping = in_files(path, format, fields, data, watch, good)
        means, cursor = replace(means, keeping=cast(Keeping, keeping)), keeping.cursor
    records = read(
        path,
        format=format,
        **data.reading,
        fields=fields,
        bad_rows=bad_rows,
        note=watch.note,
        scratch=str(scratch_folder(data.scratch)),
        exchange=means.exchange,
        cursor=cursor,
    )
    if means.exchange is not None and is_sharded(path):
        watch.note(f"{path}: each of {means.exchange.size} ranks reads its own of the files, for all.")
    laid = laid_out(records, settings, bad_rows, note=lambda said: watch.note(f"{path}: {said}"))
    watched = means.watched(f"reading {path.name}", laid, None)
    return good_rows(watched, str(path), settings, watch, means, then, bad_rows, see)


def good_rows(
    records: Iterable[Record],
    source: str,
    settings: Settings,
    watch: Listener,
    means: Means,
    then: str = "",
    bad_rows: BadRows | None = None,
    see: Callable[[Row, Record], None] | None = None,
) -> Sequence[Row]:
    """The rows of records that the task can learn from; as for `read_rows`. bad_rows: what has been refused so far"""
    bad_rows = ON_ERROR[settings.data.on_error]() if bad_rows is None else bad_rows
    plan = settings.plan
    codec = plan.row_codec if isinstance(plan, KeepsRows) else None
    good: Sequence[Row] = means.keeping.rows(_good(plan, see, records, bad_rows), codec)
    if bad_rows.count:
        skipped = counted(bad_rows.count, "broken row was", "broken rows were")
        watch.note(f"{source}: {skipped} skipped, {len(good):,} kept; {bad_rows.examples[0]}{then}")
    if not good:
        skipped = counted(bad_rows.count, "was", "were")
        why = f"{skipped} skipped. {bad_rows.examples[0]}" if bad_rows.count else "there is none."
        raise DataError(f"{source}: no good row is left: {why}")
    return good


def _good(
    plan: Any, see: Callable[[Row, Record], object] | None, records: Iterable[Record], bad_rows: BadRows
) -> Iterator[Row]:
    """The rows of good records, one by one; others are refused."""
    read = _reader_of(plan)
    for record in records:
        try:
            row = read(record)
            if see is not None:
                see(row, record)
        except DataError as problem:
            bad_rows.refuse(problem)
        else:
            yield row


def _divided(
    settings: Settings, watch: Listener, means: Means, groups: GroupColumns
) -> tuple[Collection[Row], dict[str, Collection[Row]], NDArray[np.uint8] | None]:
    """All rows of train; train, dev and, unless it is a file, test; and where each row went, unless rows are cut."""
    plan, data = settings.plan, settings.data
    usual = splits_of(plan)[0]
    rule: SplitRule = build(data.split or usual, SPLITS)
    assignment, by = rule.begin(), grouped_by(rule)

    def see(row: Row, record: Record) -> None:
        assignment.add(group_of(record, by) if by else row.key, row.stratum)
        groups.see(record)

    train = read_rows(Path(data.train), settings, watch, means, see=see, also=by, rereads=True)
    if data.split is None:
        how = {
            "random": "at random, equal rows in one split",
            "ordered": "in order, its end is for dev and test",
            "time": "in time, the last forecast of each series is test and the one before it dev",
        }[usual]
        watch.note(f"{data.train}: split {how}; set data.split to choose.")
    if several := runs_of(rule):
        watch.note(
            f"{data.train}: this is {next(iter(several))}, the first of {len(several)}; `recurra train` makes a run "
            "for each, and takes as many times as long."
        )
    if isinstance(plan, CutsRows):
        return train, dict(plan.cut(train, rule, watch.note)), None
    places, whole = assignment.places(), train
    if isinstance(assignment, GroupAssignment):
        watch.note(f"{data.train}: {assignment.said}.")
    parts = parted(train, places)
    needed = ("train", "dev", "test") if rule.makes_test and data.test is None else ("train", "dev")
    if isinstance(rule, OrderedSplit) and isinstance(plan, ReadsOn) and not all(parts[name] for name in needed):
        torn = plan.torn(list(train), rule)
        if len(torn) > len(train):
            watch.note(f"{data.train}: a row is cut where a split ends, as there are only {len(train)} to split.")
        train, places = torn, _assigned(torn, rule)
        parts = parted(torn, places)
    if data.test is not None:  # the share for it is trained on
        places = np.where(places == TEST_PLACE, np.uint8(0), places)
        parts = parted(train, places)
    found = {name: rows for name, rows in parts.items() if name != "test" or (rule.makes_test and not data.test)}
    return whole, set_aside(found, plan, means), places if train is whole else None


def _assigned(rows: Iterable[Row], rule: SplitRule) -> NDArray[np.uint8]:
    assignment = rule.begin()
    for row in rows:
        assignment.add(row.key, row.stratum)
    return assignment.places()


def means_of(settings: Settings, watch: Listener) -> Means:
    """Where prepared data goes, as the config says; where that is not in memory, how much of the disk it takes.

    Raises ConfigError for a task whose data has to be in memory, DataError for a disk without room.
    """
    data = settings.data
    can = isinstance(settings.plan, KeepsRows)
    # Of sounds the names of files are kept: these are decoded anew for each batch.
    size = 0 if any(one.kind == "audio" for one in settings.plan.inputs) else data_bytes(settings)
    if data.store == "disk" and not can:
        name = settings.tree["task"]["name"]
        raise ConfigError(f"data.store: {name} keeps its data in memory; leave it out, or set it to memory.")
    workers = cores() if data.workers is None else data.workers
    watched = Watching(watch).rows
    small = data.store == "auto" and size < ON_DISK and data.shuffle_buffer is None
    if not can or data.store == "memory" or small:
        return Means(InMemory(), workers, watched)
    scratch = Scratch(scratch_folder(data.scratch))
    needed = size * TIMES
    scratch.require(needed)
    if data.shuffle_buffer is not None:
        return Means(OnDisk(scratch), workers, watched)
    watch.note(
        f"data.store: {'auto keeps' if data.store == 'auto' else 'keeps'} prepared data on the disk, in "
        f"{scratch.folder}: about {needed / 2**20:,.0f} MiB for as long as this process runs."
    )
    return Means(OnDisk(scratch), workers, watched)


def data_bytes(settings: Settings) -> int:
    """Bytes of the files that the config names, what is packed counted as unpacked; 0 for what is no file.

    Those of train do not count where its rows stay there.
    """
    data = settings.data
    names = (data.train if data.shuffle_buffer is None else None, data.dev, data.test)
    files = [file for given in names if given is not None for file in _files_of(given)]
    return sum(size * (PACKED if name.endswith((".gz", ".parquet")) else 1) for name, size in files)


def _files_of(given: str) -> list[tuple[str, int]]:
    """The files of a name and their bytes: itself, those of a folder or a glob, those side by side of a pattern."""
    if is_sharded(given):
        return [(shard.name, shard.size) for shard in shards_of(given)]
    path = Path(given)
    beside = parallel_paths(path).values() if is_pattern(path) else ()
    files = beside or (path.rglob("*") if path.is_dir() else [path])
    return [(one.name, one.stat().st_size) for one in files if one.is_file()]


def note_shared(train: Collection[Any], examples: Collection[Any], name: str, watch: Listener) -> None:
    """Say how many examples were learned from, if any: a model can know these by heart."""
    if isinstance(train, Stored | Reread) and isinstance(examples, Stored):
        shared = stored_overlap(train, examples)
    else:
        shared = overlap(train, examples, key=attrgetter("key"))
    if shared.num_rows:
        first, second = shared.examples[0]
        stand = "stands" if shared.num_rows == 1 else "stand"
        row = "row" if name == "rows" else f"{name} row"
        watch.note(
            f"{shared.num_rows} of {counted(shared.num_seen, row)} {stand} in train too (first: {second} is "
            f"{first}), so the {name} scores are too good."
        )


def filter_examples(task: Task, examples: Sequence[Any], name: str, watch: Listener) -> Sequence[Any]:
    """The examples of a split that the task can use; what it leaves out is said.

    Raises DataError if none is left, or for an answer that training never saw.
    """
    kept, notes = task.filter(examples, name)
    for message in notes:
        watch.note(message)
    if not kept:
        raise DataError(f"{name}: no row is left. {' '.join(notes)}")
    return kept


@dataclass(frozen=True, slots=True)
class _RecordRow:
    """A record, for plans that read it again."""

    plan: Any
    record: Record

    @property
    def origin(self) -> Any:
        return self.record.origin

    @property
    def key(self) -> str:
        return str(self.plan.key(self.record))

    @property
    def stratum(self) -> str:
        return str(self.plan.stratum(self.record))


def _reader_of(plan: Any) -> Callable[[Record], Any]:
    """What makes a row of a record. Asked once a file: to look for a member takes as long as to read a short row."""
    if isinstance(plan, ReadsOnce):
        return plan.read

    def checked(record: Record) -> _RecordRow:
        plan.check(record)
        return _RecordRow(plan, record)

    return checked


def examples_of(task: Any, rows: Any, means: Means, *, learned_from: bool = False) -> Sequence[Any]:
    """Rows as examples. rows: a collection      learned_from: whether they are those that the task was fitted on"""
    watched = means.watched("encoding", _taken(rows), len(rows))
    some = list(islice(watched, 1))
    if some and isinstance(some[0], _RecordRow):
        return [task.example(row.record) for row in chain(some, watched)]
    make = task.training_examples if learned_from and isinstance(task, LeavesOut) else task.examples
    return _kept(task, make(chain(some, watched), means), means)


def _kept(task: Any, examples: Iterable[Any], means: Means) -> Sequence[Any]:
    """Examples where `means` says."""
    return means.keeping.examples(examples, task.example_codec if isinstance(task, KeepsExamples) else None)


def _fitted(settings: Settings, rows: Any, means: Means) -> tuple[Task, Sequence[Any]]:
    plan: Any = settings.plan
    source = settings.data.train
    if isinstance(rows, RereadRows):
        return fitted(plan, rows, source, means, settings.data.shuffle_buffer or 1)
    if isinstance(plan, ReadsOnce):
        task, examples = plan.fit_examples(rows, source, means)
        return task, _kept(task, examples, means)
    task = plan.fit([row.record for row in rows], source)
    return task, examples_of(task, rows, means)


def _taken(rows: Any) -> Iterator[Any]:
    """The rows, in order; each is let go when the next one is asked for, so that texts are not in memory twice."""
    if not isinstance(rows, list):
        yield from rows
        return
    rows.reverse()
    while rows:
        yield rows.pop()


class _Notes:
    """Hands notes on and keeps them for the report."""

    def __init__(self, watch: Listener) -> None:
        self._watch = watch
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        self.messages.append(message)
        self._watch.note(message)

    def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None:
        if isinstance(self._watch, WatchesPreparation):
            self._watch.preparing(stage, done, total, speed, seconds_left)
