"""Compare: runs side by side, by scores, settings, curves, and what other test rows would have said."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, open_run
from recurra.api.given import AnyPath, path_of, paths_of
from recurra.api.inference import device_of, outputs
from recurra.api.places import GROUP, RunFolder, is_group, read_json
from recurra.api.prepare import prepare
from recurra.base.atomic import write_text
from recurra.base.contracts import Callback, Report, Score, Table
from recurra.base.errors import ConfigError, RunError
from recurra.config import yaml_of
from recurra.metrics.bootstrap import Resampled, paired_bootstrap
from recurra.report import Chart, Curve, html
from recurra.report.scores import label_of, shown
from recurra.tasks import FindsPictures
from recurra.training.log import read as read_log

# Draws of the test rows, unless others are wanted.
RESAMPLES = 1000
# Settings of which each run has its own.
_OWN = ("training.seed",)


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs side by side. differences: of each run but the first to the first, by the name of the score

    settings: those that differ, by their paths, with the value of each run      notes: what could not be said, and why
    """

    report: Report
    charts: tuple[Chart, ...]
    differences: tuple[Mapping[str, Resampled], ...]
    settings: Mapping[str, tuple[Any, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    """A run, or several of one config from several seeds. answers: to the test rows, a list a run"""

    name: str
    runs: tuple[OpenRun, ...]
    rows: tuple[tuple[str, int | None], ...]
    examples: tuple[Sequence[Any], ...]
    answers: tuple[Sequence[Any], ...]

    def scores(self, split: str, drawn: NDArray[np.int64] | None = None) -> list[tuple[Score, ...]]:
        """Of each run, on all rows or on those that were drawn."""
        found = []
        for run, answers, examples in zip(self.runs, self.answers, self.examples, strict=True):
            if drawn is not None:
                answers, examples = [answers[i] for i in drawn], [examples[i] for i in drawn]
            found.append(tuple(s for s in run.task.score(answers, examples, split) if label_of(s.name) is None))
        return found

    def means(self, split: str) -> Callable[[NDArray[np.int64]], dict[str, float]]:
        """Scores of rows that are drawn, as the mean over the runs."""

        def mean(drawn: NDArray[np.int64]) -> dict[str, float]:
            found = self.scores(split, drawn)
            return {
                s.name: _mean([one.value for scores in found for one in scores if one.name == s.name]) for s in found[0]
            }

        return mean


@in_float32
def compare(
    runs: Sequence[AnyPath],
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Callback | None = None,
) -> Compared:
    """Put runs beside one another, each with the same rows of a split; differences are those to the first run.

    runs: folders of runs, or of groups of one config from several seeds      resamples: draws of the rows; 0: none
    Raises ConfigError for fewer than two, or runs of different tasks or rows; RunError for what is no run.
    """
    watch, paths = watch or NoCallback(), paths_of(runs, "runs")
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(f"compare: expected at least two different runs, got {', '.join(map(str, paths)) or 'none'}.")
    if resamples < 0:
        raise ConfigError(f"--resamples: expected 0 or more, got {resamples}.")
    target, own = device_of(device), paths_of(cells, "cells")
    names = _names(paths)
    sides = [_side(name, path, split, target, own, watch) for name, path in zip(names, paths, strict=True)]
    _refuse_other_rows(sides, paths, split)
    notes: list[str] = []
    found = _differences(sides, split, resamples, notes)
    settings = _settings(sides)
    report, charts = _report(sides, split, found, settings, resamples)
    for note in notes:
        watch.note(note)
    return Compared(report, charts, tuple(found), settings, tuple(notes))


def write_comparison(path: AnyPath, compared: Compared) -> None:
    """Write a comparison as one page that opens from disk."""
    write_text(path_of(path, "path"), html(compared.report, charts=compared.charts))


def _names(paths: Sequence[Path]) -> list[str]:
    """What each run is called: its folder's name, with those around it where two have the same."""
    parts = [path.resolve().parts for path in paths]
    depth = next(n for n in range(1, 100) if len({one[-n:] for one in parts}) == len(parts))
    return ["/".join(one[-depth:]) for one in parts]


def _side(name: str, path: Path, split: str, device: Any, cells: Iterable[Path], watch: Callback) -> _Side:
    members = _members(path)
    runs, rows, examples, answers = [], [], [], []
    for member in members:
        run = open_run(member, cells)
        watch.note(f"{member}: answers {split}.")
        splits = prepare(run.settings, NoCallback(), task=run.task).splits
        if split not in splits:
            raise ConfigError(f"{member}: its data has no split '{split}'. Known: {', '.join(splits)}.")
        runs.append(run)
        examples.append(splits[split])
        files = {path: _content(path) for path in {str(one.origin.path) for one in splits[split]}}
        rows.append(tuple((files[str(one.origin.path)], one.origin.line) for one in splits[split]))
        answers.append(outputs(run.model.to(device), run.task, splits[split], device=device))
    if any(one != rows[0] for one in rows):
        raise ConfigError(f"{path}: its runs do not have the same rows of {split}, so they are no seeds of one config.")
    return _Side(name, tuple(runs), rows[0], tuple(examples), tuple(answers))


def _members(path: Path) -> list[Path]:
    """A run, or the runs of a group from several seeds."""
    if (path / "run.json").is_file() or not is_group(path):
        return [path]
    said = read_json(path / GROUP)
    if not isinstance(said, Mapping) or said.get("kind") != "seeds" or not isinstance(said.get("runs"), Mapping):
        raise RunError(f"{path}: a group whose runs have other test rows each; name runs, or a group of seeds.")
    names = [name for name in said["runs"] if Path(name).name == name and name not in ("", "..")]
    if not names:
        raise RunError(f"{path / GROUP}: damaged: names no runs. Copy the group again.")
    return [path / name for name in names]


def _content(path: str) -> str:
    """What tells a file from others: its bytes, wherever it lies."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path


def _refuse_other_rows(sides: Sequence[_Side], paths: Sequence[Path], split: str) -> None:
    """Raise ConfigError unless all have one task and the same rows."""
    first = sides[0]
    for side, path in zip(sides[1:], paths[1:], strict=True):
        tasks = [str(one.runs[0].settings.tree["task"]["name"]) for one in (first, side)]
        if tasks[0] != tasks[1]:
            raise ConfigError(
                f"{path}: is of task {tasks[1]}, and {paths[0]} of {tasks[0]}; only runs of one task can be compared."
            )
        if side.rows != first.rows:
            same = len(set(side.rows) & set(first.rows))
            raise ConfigError(
                f"{path}: has other rows of {split} than {paths[0]}: {len(side.rows):,} and {len(first.rows):,}, of "
                f"which {same:,} are the same. Train both with the same data and data.split, or name the same "
                f"file as data.{split}."
            )


def _differences(sides: Sequence[_Side], split: str, resamples: int, notes: list[str]) -> list[dict[str, Resampled]]:
    if resamples == 0:
        return [{} for _ in sides[1:]]
    if isinstance(sides[0].runs[0].task, FindsPictures):
        notes.append("no intervals: what is found depends on all rows together, so drawing some of them says nothing.")
        return [{} for _ in sides[1:]]
    return paired_bootstrap(len(sides[0].rows), [side.means(split) for side in sides], number=resamples)


def _settings(sides: Sequence[_Side]) -> dict[str, tuple[Any, ...]]:
    """The settings in which the configs differ, with the value of each; None where one has no such option."""
    flat = [dict(_flat(side.runs[0].settings.tree)) for side in sides]
    paths = list(dict.fromkeys(path for one in flat for path in one))
    found = {path: tuple(one.get(path, "-") for one in flat) for path in paths if path not in _OWN}
    return {path: values for path, values in found.items() if any(value != values[0] for value in values)}


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and (not path or "name" in value):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _report(
    sides: Sequence[_Side],
    split: str,
    differences: Sequence[Mapping[str, Resampled]],
    settings: Mapping[str, tuple[Any, ...]],
    resamples: int,
) -> tuple[Report, tuple[Chart, ...]]:
    scores = [side.scores(split) for side in sides]
    tables = [_score_table(sides, scores, split)]
    tables += [_difference_table(sides, scores, differences, resamples)] if any(differences) else []
    tables += [_setting_table(sides, settings)] if settings else []
    facts: dict[str, str | int | float] = {
        f"rows of {split}": len(sides[0].rows),
        "task": str(sides[0].runs[0].settings.tree["task"]["name"]),
        "compared with": sides[0].name,
        "draws of rows": resamples,
        **{f"seeds of {side.name}": len(side.runs) for side in sides if len(side.runs) > 1},
        **({} if settings else {"settings": "are the same but for the seed"}),
    }
    title = " and ".join(side.name for side in sides)
    return Report(title, (), {}, tuple(tables), facts), (_curves(sides),)


def _means_of(found: Sequence[tuple[Score, ...]]) -> tuple[Score, ...]:
    values = [[s.value for scores in found for s in scores if s.name == first.name] for first in found[0]]
    return tuple(Score(s.name, _mean(own), s.unit, s.better, s.split) for s, own in zip(found[0], values, strict=True))


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if all(map(math.isfinite, values)) else math.nan


def _score_table(sides: Sequence[_Side], scores: Sequence[Sequence[tuple[Score, ...]]], split: str) -> Table:
    """The scores of each, with the deviation over seeds where there are several."""
    rows = []
    for first in scores[0][0]:
        columns = [[s.value for one in found for s in one if s.name == first.name] for found in scores]
        rows.append((first.name, *(_with_spread(values, first.unit) for values in columns), first.better))
    return Table(f"scores, {split}", ("score", *(side.name for side in sides), "better"), tuple(rows))


def _with_spread(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return shown(_mean(values), unit)
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    if unit == "0..1":
        return f"{100 * mean:.2f} ± {100 * deviation:.2f} %"
    return f"{mean:.4g} ± {deviation:.2g} {unit}".strip()


def _difference_table(
    sides: Sequence[_Side],
    scores: Sequence[Sequence[tuple[Score, ...]]],
    differences: Sequence[Mapping[str, Resampled]],
    resamples: int,
) -> Table:
    """Each run minus the first: the interval over draws of rows, and how often it is the better one."""
    base = {s.name: s for s in _means_of(scores[0])}
    rows = []
    for side, found, own in zip(sides[1:], scores[1:], differences, strict=True):
        for score in (s for s in _means_of(found) if s.name in own and s.name in base):
            gap, scale, unit = own[score.name], 1.0, score.unit
            if unit == "0..1":
                scale, unit = 100.0, "points"
            numbers = (score.value - base[score.name].value, gap.low, gap.high)
            better = gap.above if score.better == "higher" else 1 - gap.above
            likely = "" if score.better == "neither" or not gap.number else f"{100 * better:.1f} %"
            verdict = "no number" if not gap.number else "not told apart" if gap.holds_zero else "told apart"
            rows.append(
                (side.name, score.name, *(f"{scale * v:+.3g} {unit}".strip() for v in numbers), likely, verdict)
            )
    heads = ("run", "score", f"minus {sides[0].name}", "95 % from", "to", "better in", "by these rows")
    return Table(f"differences, by {resamples:,} paired draws of the rows", heads, tuple(rows))


def _setting_table(sides: Sequence[_Side], settings: Mapping[str, tuple[Any, ...]]) -> Table:
    rows = tuple((path, *(_in_yaml(value) for value in values)) for path, values in settings.items())
    return Table("settings that differ", ("option", *(side.name for side in sides)), rows)


def _in_yaml(value: Any) -> str:
    return "-" if value == "-" else yaml_of(value)


def _curves(sides: Sequence[_Side]) -> Chart:
    """The dev score that chose the epoch of each run, on one axis; of several seeds the first run's."""
    select = _selected(sides[0].runs[0])
    curves = []
    for side in sides:
        lines = read_log(RunFolder(side.runs[0].folder.path).log)
        points = [(line["epoch"], line.get(select)) for line in lines if line.get("event") == "dev"]
        found = tuple((float(x), float(y)) for x, y in points if isinstance(x, int) and isinstance(y, int | float))
        curves.append(Curve(side.name, found))
    return Chart(f"Dev {select}", "epoch", select, tuple(curves))


def _selected(run: OpenRun) -> str:
    word = run.settings.training.select
    return str(run.task.usual_score) if word == "auto" else word
