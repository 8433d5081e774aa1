"""Doctor: a hundred steps of a config's training, or a trained run, with a look inside now and then."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import add_cells, open_run
from recurra.api.given import AnyPath, config_of, overrides_of
from recurra.api.inference import device_of
from recurra.api.judging import read_findings
from recurra.api.prepare import prepare
from recurra.api.schema import Settings, read_settings
from recurra.api.trainer import Trainer
from recurra.base.contracts import Batch, Callback, Progress, Report, Table
from recurra.base.errors import ConfigError, TrainingError
from recurra.data.store import lengths_of
from recurra.doctor import Advice, Course, Diagnosis, Finding, Probe, advice, probe
from recurra.doctor.attending import has_heads
from recurra.doctor.rendering import ADVICE, charts, report
from recurra.doctor.updates import update_ratios, weights
from recurra.doctor.verdict import WORDS
from recurra.nn import Recurrent
from recurra.report import Chart
from recurra.tasks import MovesModel, Task, loss_unit

# Rows of a look inside: enough for a mean, and a second at most for 200 steps of any cell.
ROWS = 16
# Longer rows are passed over where there are others: every value of every step is kept in memory for the gradient.
MOST_STEPS = 512
# Numbers that one look keeps, 512 MiB of float32: of long rows in wide layers there are fewer.
MOST_NUMBERS = 2**27
# Looks inside: before the first step, after the last, and between.
LOOKS = 5
# Changes of the config that are tried, of those that are suggested.
TRIED = 3
# A change is not recommended if the loss after its steps is worse than this many times that of the config as it is.
WORSE = 1.02


@dataclass(frozen=True, slots=True)
class Experiment:
    """What came of a change of the config: the verdict, its evidence, and the loss of the last look, in nats."""

    change: str
    word: str
    evidence: str
    loss: float


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """advice: what to change; experiments: what came of it, if it was tried; report, charts: for people.

    tree: the resolved config      findings: how a training that has ended went; None where it is not known
    """

    diagnosis: Diagnosis
    advice: tuple[Advice, ...]
    report: Report
    charts: tuple[Chart, ...]
    tree: Mapping[str, Mapping[str, Any]]
    experiments: tuple[Experiment, ...] = ()
    findings: tuple[Finding, ...] | None = None


@in_float32
def doctor(
    config: AnyPath | Mapping[str, Any],
    *,
    steps: int = 100,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    experiments: bool = False,
    watch: Callback | None = None,
) -> Diagnosed:
    """Train as a config says for so many steps, write nothing, and say where gradients go.

    config: a config file, or a dict of its sections; or the folder of a trained run, which is looked at as it is
    experiments: try what is suggested too, the first few changes, each by itself and from the start
    A model without recurrent layers is looked at too: its heads, and whether outputs depend on what is read.
    Raises ConfigError for a config that cannot train, or whose task moves its model without gradients; DataError;
    RunError.
    """
    watch, config, overrides = watch or NoCallback(), config_of(config), overrides_of(overrides)
    if isinstance(config, Path) and config.is_dir():
        if overrides or seed is not None or experiments:
            raise ConfigError(f"{config}: a trained run keeps its own settings; leave out --set, --seed and --try.")
        return _of_run(config, device_of(device), cells, watch)
    add_cells(cells)
    found = _diagnosed(config, overrides, seed, device_of(device), steps, watch)
    if not experiments:
        return found
    tried = [_as_it_is(found)]
    for one in found.advice[:TRIED]:
        watch.note(f"trying {one.change}")
        changed = [*overrides, *one.settings]
        tried.append(_tried(one, partial(_diagnosed, config, changed, seed, device_of(device), steps, watch)))
    shown = Table("The experiments", ("in the config", "verdict", "evidence", "loss", ""), _rows(tried))
    helped = {one.change for one in tried[1:] if _helps(one, tried[0])}
    advised = tuple(one for one in found.advice if one.change in helped)
    if found.advice and not advised:
        watch.note(f"nothing to recommend: of {len(tried) - 1} changes that were tried none helped.")
    tables = [table for table in found.report.tables[1:] if table.caption != ADVICE]
    report = replace(found.report, tables=(found.report.tables[0], shown, *tables))
    return replace(found, report=report, advice=advised, experiments=tuple(tried))


def _diagnosed(
    config: Path | Mapping[str, Any],
    overrides: Sequence[str],
    seed: int | None,
    device: torch.device,
    steps: int,
    watch: Callback,
) -> Diagnosed:
    settings = read_settings(config, overrides, seed)
    prepared = prepare(settings, watch)
    name = config if isinstance(config, Path) else Path("config")
    refuse_without_gradients(prepared.task, str(name))
    trainer = Trainer(settings, prepared.task, prepared.splits["train"], device, prepared.fingerprint)
    diagnosis = _trained_a_little(trainer, steps, watch)
    words = " ".join([shlex.quote(str(name)), *(f"--set {shlex.quote(one)}" for one in overrides)])
    return _said(
        diagnosis, settings, f"{name.name} after {diagnosis.probes[-1].step} steps", words, loss_unit(prepared.task)
    )


def _as_it_is(found: Diagnosed) -> Experiment:
    verdict = found.diagnosis.verdict
    return Experiment("as it is", verdict.word, verdict.evidence, found.diagnosis.probes[-1].loss)


def _tried(one: Advice, diagnose: Callable[[], Diagnosed]) -> Experiment:
    """One change, tried; a config that it does not fit is a result too."""
    try:
        return replace(_as_it_is(diagnose()), change=one.change)
    except ConfigError as error:
        return Experiment(one.change, "refused", error.problems[0], math.nan)


def _helps(one: Experiment, before: Experiment) -> bool:
    """Is the verdict better, or as good with a lower loss, and the loss not worse? One that is no number is."""
    if not one.loss <= WORSE * before.loss and math.isfinite(before.loss):
        return False
    words = [WORDS.index(each.word) if each.word in WORDS else -1 for each in (one, before)]
    return words[0] > words[1] or (words[0] == words[1] and one.loss < before.loss)


def _rows(tried: Sequence[Experiment]) -> tuple[tuple[str, ...], ...]:
    kept = ["", *("helps" if _helps(one, tried[0]) else "does not help" for one in tried[1:])]
    return tuple(
        (one.change, one.word, one.evidence, f"{one.loss:.4g}", word) for one, word in zip(tried, kept, strict=True)
    )


def refuse_without_gradients(task: Task, where: str) -> None:
    """Raise ConfigError for a task that moves its model itself."""
    if isinstance(task, MovesModel):
        raise ConfigError(f"{where}: this task learns without the gradient of a network, so there is none to look at.")


def for_report(
    model: torch.nn.Module, task: Task, examples: Sequence[Any], device: torch.device
) -> tuple[dict[str, str], tuple[Chart, ...]]:
    """One look at a trained model for the report of its run: the verdict as a fact, and the carried gradient.

    Nothing for a model with neither recurrent layers nor attention. One look a run, however long: it costs as much as a
    few steps.
    """
    recurrent = any(isinstance(module, Recurrent) for module in model.modules())
    if isinstance(task, MovesModel) or not (recurrent or has_heads(model)):
        return {}, ()
    diagnosis = Diagnosis((probe(model, _some(model, task, examples, device), task.loss),), trained=True)
    if not diagnosis.verdicts:
        return {}, ()
    verdict = diagnosis.verdict
    sentence = f"{verdict.word}: {f'{verdict.layer}: ' if verdict.layer else ''}{verdict.evidence}"
    if not diagnosis.has_recurrence:
        return {"attention": sentence}, ()
    return {"gradients": sentence}, charts(diagnosis)[:1]


def _of_run(path: Path, device: torch.device, cells: Iterable[AnyPath], watch: Callback) -> Diagnosed:
    trained = open_run(path, cells)
    refuse_without_gradients(trained.task, str(path))
    splits = prepare(trained.settings, watch, task=trained.task).splits
    trained.model.to(device)
    rows = _some(trained.model, trained.task, splits["dev"], device)
    diagnosis = Diagnosis((probe(trained.model, rows, trained.task.loss),), trained=True)
    name, config = f"{path.resolve().name}, trained", shlex.quote(str(path / "config.yaml"))
    said = _said(diagnosis, trained.settings, name, config, loss_unit(trained.task))
    if (found := read_findings(trained.folder)) is None:
        return said
    lines = tuple((f.word, f.evidence, "; or ".join(a.change for a in f.advice)) for f in found)
    table = Table("How training went", ("finding", "evidence", "try"), lines)
    tables = (table, *said.report.tables) if found else said.report.tables
    return replace(said, report=replace(said.report, tables=tables), findings=found)


def _said(diagnosis: Diagnosis, settings: Settings, title: str, config: str, unit: str) -> Diagnosed:
    found = advice(diagnosis, settings.tree)
    title = f"{title}: {diagnosis.verdict.word}"
    return Diagnosed(diagnosis, found, report(title, diagnosis, found, config, unit), charts(diagnosis), settings.tree)


def _trained_a_little(trainer: Trainer, steps: int, watch: Callback) -> Diagnosis:
    """`steps` steps of training, as `train` would make them, with a look before, between and after."""
    due = {round(k * steps / (LOOKS - 1)) for k in range(LOOKS)}
    probes = [_look(trainer)]
    norms: list[tuple[int, float]] = []
    ratios: list[dict[str, float]] = []
    failed, before = "", weights(trainer.model)
    watch.start(steps, trainer.settings.training.epochs)
    try:
        for progress in _steps(trainer, steps):
            norms.append((progress.step, float(progress.grad_norm)))
            watch.step(progress, 0.0, math.nan)
            if progress.step in due:
                ratios.append(update_ratios(before, trainer.model))
                probes.append(_look(trainer))
            if progress.step + 1 in due:
                before = weights(trainer.model)
    except TrainingError as error:
        failed = f"training ended after step {trainer.step}: {str(error).splitlines()[0]}"
    watch.done()
    course = Course(tuple(norms), _clipped(trainer, norms), _mean_ratios(ratios), failed)
    return Diagnosis(tuple(probes), course)


def _steps(trainer: Trainer, steps: int) -> Iterable[Progress]:
    """At most so many steps, over as many epochs as it takes; the config's own number of epochs does not count."""
    while trainer.step < steps:
        for progress in trainer.steps():
            yield progress
            if trainer.step >= steps:
                return
        trainer.epoch, trainer.position = trainer.epoch + 1, 0


def _look(trainer: Trainer) -> Probe:
    rows = _some(trainer.model, trainer.task, trainer.examples, trainer.device)
    return probe(trainer.model, rows, trainer.task.loss, seed=trainer.settings.training.seed, step=trainer.step)


def _some(model: torch.nn.Module, task: Task, examples: Sequence[Any], device: torch.device) -> Batch:
    """A few of the longer rows, the same ones at each look; rows that are too long only where all are.

    Where rows go on from batch to batch, a batch as training has it: no gradient goes back further there.
    """
    streams = task.sampler(examples[: 4 * ROWS], batch_tokens=MOST_STEPS * ROWS, batch_rows=ROWS, seed=0)
    if streams.carries:
        return streams.batch(streams.plan(1)[0]).to(device)
    lengths = lengths_of(examples).tolist()
    order = sorted(range(len(examples)), key=lambda i: (lengths[i], i))
    fitting = [i for i in order if lengths[i] <= MOST_STEPS] or order[:1]
    upper = fitting[len(fitting) // 2 :]
    numbers = lengths[upper[-1]] * _numbers_a_step(model)
    rows = min(ROWS, max(1, MOST_NUMBERS // max(numbers, 1)))
    chosen = [upper[k * len(upper) // rows] for k in range(rows)] if len(upper) > rows else upper
    return task.collate([examples[i] for i in chosen], chosen).to(device)


def _numbers_a_step(model: torch.nn.Module) -> int:
    """Numbers that a look keeps for each row and step: about forty values for each unit of each layer."""
    layers = [module for module in model.modules() if isinstance(module, Recurrent)]
    return 40 * sum(one.hidden_size * one.num_layers * one.num_directions for one in layers)


def _clipped(trainer: Trainer, norms: Sequence[tuple[int, float]]) -> float:
    options = trainer.settings.tree["training"]["clipping"]
    limit = options.get("max_norm", math.inf) if isinstance(options, Mapping) else math.inf
    return sum(norm > limit for _, norm in norms) / max(len(norms), 1)


def _mean_ratios(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = found[0] if found else {}
    return {name: sum(one[name] for one in found) / len(found) for name in names}
