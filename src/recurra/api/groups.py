"""Several runs of one config in one folder: the same training from several seeds, cross-validation by folds, or a
back-test that trains again.
"""

from __future__ import annotations

import json
import math
import signal
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recurra import __version__
from recurra.api.callbacks import NoCallback
from recurra.api.cards import card, may_write
from recurra.api.distributed import Distributed
from recurra.api.folder import add_cells, has_ended, open_run, open_settings
from recurra.api.given import AnyPath, config_of, overrides_of, path_of, paths_of
from recurra.api.inference import device_of, outputs
from recurra.api.places import GROUP, RunFolder, read_json
from recurra.api.prepare import prepare
from recurra.api.reporting import read_report
from recurra.api.schema import Settings, read_settings, several_runs
from recurra.api.training import Use, fresh, name_of, resume, train, use_of
from recurra.base.atomic import write_text
from recurra.base.contracts import Callback, Report, Score, Table
from recurra.base.errors import ConfigError, RunError
from recurra.base.shell import as_word
from recurra.config import write as config_text
from recurra.report import write
from recurra.report.scores import label_of, shown
from recurra.training import FolderLock

# Scores of single runs that a table shows beside one another; the rest is in summary.json.
BESIDE = 6
# Kinds of groups whose test rows are answered by one run each, and so can be scored together.
POOLED = {
    "folds": "pooled: the test rows of all folds scored together",
    "origins": "pooled: all forecasts of test scored together, each by the last run that was trained before it",
}


@dataclass(frozen=True, slots=True)
class Spread:
    """A score over the runs. deviation: standard deviation of the sample (n - 1); values: by the name of the run

    baselines: the mean of the same score of each baseline
    """

    name: str
    split: str
    unit: str
    better: str
    mean: float
    lowest: float
    highest: float
    deviation: float
    values: Mapping[str, float]
    baselines: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrainedGroup:
    """How the training of a group ended. report: None if it was stopped; stopped_by: the signal, or None.

    ended: how many of the runs have ended      use: what a person wants next, as `Trained` has it
    """

    folder: Path
    runs: tuple[Path, ...]
    report: Report | None
    summary: tuple[Spread, ...]
    stopped_by: signal.Signals | None
    ended: int
    use: Use = "predict"

    @property
    def last(self) -> Path:
        """The run to ask: of origins that which has learned from the most, else the first."""
        return self.runs[-1 if self.runs[-1].name.startswith("origin-") else 0]


def train_group(
    config: AnyPath | Mapping[str, Any],
    *,
    seeds: Sequence[int] = (),
    out: AnyPath | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    distributed: Distributed | None = None,
    grace: float = 0.0,
    watch: Callback | None = None,
) -> TrainedGroup:
    """Train a config once from each seed, or once for each run that its data.split makes; then compare.

    data.split: `folds` makes a run for each fold, `time` with `refit` one for each origin that is trained for
    The runs are folders inside the group's folder (by default runs/NAME), named seed-1, fold-1, origin-1 and so on.
    Raises ConfigError for fewer than two seeds, or for both seeds and such a split; else as `train` does.
    """
    watch, cells = watch or NoCallback(), paths_of(cells, "cells")
    config, overrides = config_of(config), overrides_of(overrides)
    add_cells(cells)
    settings = read_settings(config, overrides, None)
    kind, runs = _runs(settings, seeds)
    for own in runs.values():  # before anything is written
        read_settings(config, [*overrides, *own])
    name = name_of(config) if isinstance(config, Path) else str(settings.tree["task"]["name"])
    folder = path_of(out, "out") if out is not None else fresh(Path("runs") / name)
    if any((folder / taken).exists() for taken in (GROUP, "run.json", "config.yaml")):
        raise RunError(f"{folder}: already holds a run or a config; choose another folder with --out.")
    with FolderLock(folder, watch.note):
        write_text(folder / "config.yaml", config_text(settings.resolved, settings.schema))
        if kind == "origins":
            each = "each about as long as one run without refit"
            watch.note(f"back-test: trains {len(runs)} times, for {', '.join(runs)}, {each}.")
        write_text(folder / GROUP, _json({"format": 1, "recurra": __version__, "kind": kind, "runs": runs}))
        return _train(folder, device, cells, distributed, grace, watch)


def resume_group(
    group: AnyPath,
    *,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    distributed: Distributed | None = None,
    grace: float = 0.0,
    watch: Callback | None = None,
) -> TrainedGroup:
    """Train what is left of a group's runs: those that have ended stay, one that was stopped is resumed.

    Raises RunError if the folder is no group, else as `resume` does.
    """
    watch, folder = watch or NoCallback(), path_of(group, "group")
    with FolderLock(folder, watch.note):
        return _train(folder, device, paths_of(cells, "cells"), distributed, grace, watch)


def _runs(settings: Settings, seeds: Sequence[int]) -> tuple[str, dict[str, list[str]]]:
    """The kind of the group; what each run is called, and its own options."""
    several = several_runs(settings)
    if several and seeds:
        name = settings.tree["data"]["split"]["name"]
        raise ConfigError(f"--seeds: data.split is {name}, which makes several runs already; leave one of them out.")
    if several:
        kind = next(iter(several)).partition("-")[0]
        return f"{kind}s", {name: [f"data.split.{option}"] for name, option in several.items()}
    if len(set(seeds)) < 2 or len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"--seeds: expected at least two different numbers, got {','.join(map(str, seeds)) or 'none'}."
        )
    return "seeds", {f"seed-{seed}": [f"training.seed={seed}"] for seed in seeds}


def _train(
    folder: Path,
    device: str,
    cells: tuple[Path, ...],
    distributed: Distributed | None,
    grace: float,
    watch: Callback,
) -> TrainedGroup:
    """Each run that has not ended, one after the other; then the summary."""
    kind, runs = _read(folder)
    paths = tuple(folder / name for name in runs)
    given: dict[str, Any] = {
        "device": device,
        "cells": cells,
        "distributed": distributed,
        "grace": grace,
        "watch": watch,
    }
    for number, (name, overrides) in enumerate(runs.items(), start=1):
        run = RunFolder(folder / name)
        if has_ended(run):
            continue
        watch.note(f"{run.path}: run {number} of {len(runs)}.")
        begun = run.mark.is_file()
        trained = (
            resume(run.path, **given)
            if begun
            else train(folder / "config.yaml", out=run.path, overrides=overrides, **given)
        )
        if trained.stopped_by is not None:
            ended = sum(has_ended(RunFolder(path)) for path in paths)
            return TrainedGroup(folder, paths, None, (), trained.stopped_by, ended)
    reports = {path.name: read_report(RunFolder(path)) for path in paths}
    spreads = summary(reports)
    pooled = _pooled(kind, paths, device, watch) if kind in POOLED else _Pooled((), {})
    report = _report(folder, kind, spreads, pooled, list(reports))
    write_text(folder / "summary.json", _json([_plain(asdict(spread)) for spread in spreads]))
    write(folder, report, settings=(folder / "config.yaml").read_text("utf-8"))
    for path in filter(lambda path: may_write(RunFolder(path)), paths):  # now that the spread is known
        card(path)
    return TrainedGroup(folder, paths, report, spreads, None, len(paths), _use_of(paths[0]))


def _use_of(path: Path) -> Use:
    """What a person wants next of a run that has ended."""
    folder, settings = open_settings(path, to_train=False)
    return use_of(settings.plan.restore(read_json(folder.task), str(folder.task)), settings)


def summary(reports: Mapping[str, Report]) -> tuple[Spread, ...]:
    """Every score that all runs have, in the order of the first; with the baselines that all have."""
    found = {run: {(s.split, s.name): s for s in report.scores} for run, report in reports.items()}
    first = next(iter(found.values()))
    return tuple(
        _spread(score, {run: scores[key].value for run, scores in found.items()}, _baselines(reports, key))
        for key, score in first.items()
        if all(key in scores for scores in found.values())
    )


def _spread(score: Score, values: Mapping[str, float], baselines: Mapping[str, float]) -> Spread:
    given = list(values.values())
    if any(map(math.isnan, given)):
        spread = (math.nan, math.nan, math.nan, math.nan)
    else:
        deviation = statistics.stdev(given) if all(map(math.isfinite, given)) else math.nan
        spread = (_mean(given), min(given), max(given), deviation)
    return Spread(score.name, score.split, score.unit, score.better, *spread, values, baselines)


def _baselines(reports: Mapping[str, Report], key: tuple[str, str]) -> dict[str, float]:
    found = [
        {name: s.value for name, scores in report.baselines.items() for s in scores if (s.split, s.name) == key}
        for report in reports.values()
    ]
    return {name: _mean([one[name] for one in found]) for name in found[0] if all(name in one for one in found)}


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Scores over the test rows of all runs; those of baselines that need no training."""

    scores: tuple[Score, ...]
    baselines: Mapping[str, tuple[Score, ...]]


def _pooled(kind: str, paths: Sequence[Path], device: str, watch: Callback) -> _Pooled:
    """Scores of the test rows of all runs together, each answered by the run that has not learned from it."""
    answers: list[Any] = []
    examples: list[Any] = []
    labels: list[Any] = []
    target = device_of(device)
    for path in paths:
        run = open_run(path)
        test = prepare(run.settings, NoCallback(), task=run.task).splits["test"]
        answers += outputs(run.model.to(target), run.task, test, device=target)
        examples += test
        labels.append(run.task.to_json().get("labels"))
    if any(one != labels[0] for one in labels):
        watch.note("no pooled scores: a rare label is missing from the training rows of a fold. The means stand.")
        return _Pooled((), {})
    # What training has seen differs from fold to fold.
    scores = tuple(s for s in run.task.score(answers, examples, "test") if "unseen" not in s.name)
    # Those of forecasts learn nothing.
    return _Pooled(scores, run.task.baselines((), {"test": examples}).scores if kind == "origins" else {})


def _report(folder: Path, kind: str, spreads: Sequence[Spread], pooled: _Pooled, runs: Sequence[str]) -> Report:
    means = [Score(s.name, s.mean, s.unit, s.better, s.split) for s in spreads]  # type: ignore[arg-type]
    scores = [*pooled.scores, *(s for s in means if s.split != "test")] if pooled.scores else means
    names = list(dict.fromkeys(name for s in spreads for name in s.baselines))
    baselines = {
        name: tuple(Score(s.name, s.baselines[name], s.unit, s.better, s.split) for s in spreads if name in s.baselines)  # type: ignore[arg-type]
        for name in names
    }
    for name, found in pooled.baselines.items():
        baselines[name] = (*found, *(s for s in baselines.get(name, ()) if s.split != "test"))
    whole = [s for s in spreads if label_of(s.name) is None]
    what = POOLED[kind] if pooled.scores else "mean over the runs"
    to_ask = runs[-1 if kind == "origins" else 0]
    return Report(
        f"{folder.resolve().name}: {len(runs)} {kind}",
        tuple(scores),
        baselines,
        (_spread_table(whole, kind, names), _run_table(whole, runs)),
        {
            "runs": len(runs),
            "scores above": what,
            "baselines": "as the scores" if pooled.baselines else "mean over the runs",
            "to predict": f"name one of the runs, as {as_word(folder / to_ask)}",
        },
    )


def _spread_table(spreads: Sequence[Spread], kind: str, baselines: Sequence[str]) -> Table:
    rows = [
        (
            s.name,
            s.split,
            *(shown(v, s.unit) for v in (s.mean, s.lowest, s.highest, s.deviation)),
            *(shown(s.baselines[name], s.unit) if name in s.baselines else "" for name in baselines),
        )
        for s in spreads
    ]
    heads = ("score", "split", "mean", "lowest", "highest", "standard deviation", *baselines)
    return Table(f"over the {kind}", heads, tuple(rows))


def _run_table(spreads: Sequence[Spread], runs: Sequence[str]) -> Table:
    last = spreads[-1].split if spreads else ""
    some = [s for s in spreads if s.split == last][:BESIDE]
    rows = [(run, *(shown(s.values[run], s.unit) for s in some)) for run in runs]
    return Table(f"by run, {last}", ("run", *(s.name for s in some)), tuple(rows))


def _read(folder: Path) -> tuple[str, dict[str, list[str]]]:
    """The kind of a group and its runs, as group.json says. Raises RunError."""
    said = read_json(folder / GROUP)
    try:
        kind, runs = said["kind"], said["runs"]
        good = kind in ("seeds", *POOLED) and len(runs) >= 2
        good = good and all(
            name not in ("", "..") and Path(name).name == name and all(type(one) is str for one in own)
            for name, own in runs.items()
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        good = False
    if not good:
        raise RunError(f"{folder / GROUP}: damaged: expected the kind of the group and its runs. Train it again.")
    return kind, runs


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if math.inf in map(abs, values) else math.fsum(values) / len(values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
