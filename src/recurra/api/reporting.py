"""The end of a run: the best weights, their scores beside the baselines, and what people read."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch

from recurra import __version__
from recurra.api.baselines import compared
from recurra.api.doctoring import for_report
from recurra.api.folder import write_task
from recurra.api.inference import outputs
from recurra.api.judging import judged, write_findings
from recurra.api.mixing import mix
from recurra.api.places import RunFolder, read_json
from recurra.api.prepare import Prepared
from recurra.api.samples import sample_texts, write_samples
from recurra.api.trainer import Trainer
from recurra.api.word_maps import word_map
from recurra.base.contracts import Callback, Report, Score, Table
from recurra.base.errors import RunError
from recurra.metrics import Compared
from recurra.report import Chart, Curve, RecordingFigure, write
from recurra.tasks import (
    Calibrates,
    Conforms,
    DrawsCharts,
    DrawsMaps,
    FitsThreshold,
    ShowsRecordings,
    Task,
    WritesSamples,
    loss_unit,
)
from recurra.training import Checkpoints, MissingError, load_weights, put_weights, save_weights, step_of
from recurra.training.log import read as read_log

# Among them are enough to choose a few texts from.
MOST_ROWS = 1000


def final_report(
    trainer: Trainer,
    prepared: Prepared,
    folder: RunFolder,
    select: str,
    watch: Callback,
) -> Report:
    """Score the weights that `take_best` has put into the model on dev and test, write them and the report."""
    if trainer.best.value is None:
        watch.note(f"no epoch had a finite {select}: the last weights are kept.")
    scored = {name: rows for name, rows in prepared.splits.items() if name != "train"}
    shares = mix(trainer, prepared, watch)
    prepared, calibration, known = calibrated(trainer, prepared)
    task = prepared.task
    answers, last = _answered(trainer, task, scored, known), list(scored)[-1]
    full = trainer.settings.training.report == "full"
    beside = compared(task, prepared.splits["train"], scored) if full else Compared({}, ())
    for message in beside.notes:
        watch.note(message)
    gradients, carried = for_report(trainer.model, task, scored[last], trainer.device) if full else ({}, ())
    scores = [task.score(answers[name], rows, name) for name, rows in scored.items()]
    found = judged(trainer, prepared, folder, select, scores[-1], beside.scores)
    write_findings(folder, found)
    said = [*beside.notes, *filter(None, [trainer.skipped, trainer.stopped_early(select)])]
    findings = {f"finding {number}": str(one) for number, one in enumerate(found, start=1)}
    samples = task.samples(trainer.model, trainer.device) if full and isinstance(task, WritesSamples) else ()
    streamed, recordings = _heard(trainer, task, answers[last], scored[last]) if full else ((), ())
    report = Report(
        title=f"{folder.path.resolve().name}: {trainer.settings.tree['task']['name']}",
        scores=tuple(chain.from_iterable(scores)),
        baselines=beside.scores,
        tables=(*task.tables(answers[last], scored[last]), *streamed, *samples),
        facts=findings | facts(trainer, prepared, select, said) | shares | calibration | gradients,
    )
    rows = map(task.answer, scored[last][:MOST_ROWS], answers[last])
    write_samples(folder, sample_texts(task, [row.to_dict() for row in rows]))
    write_task(folder, task, prepared.fingerprint)
    is_best = trainer.best.value is not None
    save_weights(folder.weights, trainer.model, step=trainer.best.step if is_best else trainer.step)
    drawn = write(
        folder.path,
        report,
        charts=[
            *_curves(task, answers[last], scored[last]),
            *word_map(task, trainer.model),
            *charts(folder, select, loss_unit(task)),
            *carried,
        ],
        maps=task.pictures(trainer.model, scored[last], trainer.device) if full and isinstance(task, DrawsMaps) else (),
        recordings=recordings,
        draw=full,
        settings=folder.config.read_text(),
    )
    for message in drawn.notes:
        watch.note(message)
    return report


def _answered(
    trainer: Trainer, task: Task, scored: Mapping[str, Sequence[Any]], known: Sequence[Any] | None
) -> dict[str, Sequence[Any]]:
    """The outputs of each split; known: those of dev, which are not asked for again."""
    return {
        name: known
        if name == "dev" and known is not None
        else outputs(trainer.model, task, rows, device=trainer.device)
        for name, rows in scored.items()
    }


def _heard(
    trainer: Trainer, task: Task, said: Sequence[Any], examples: Sequence[Any]
) -> tuple[tuple[Table, ...], tuple[RecordingFigure, ...]]:
    """How late words come in a stream, and the worst recordings, of a task that hears."""
    if not isinstance(task, ShowsRecordings):
        return (), ()
    recordings = task.recordings(trainer.model, said, examples, trainer.device)
    return task.streamed(trainer.model, examples), recordings


def _curves(task: Task, said: Sequence[Any], examples: Sequence[Any]) -> tuple[Chart, ...]:
    return task.charts(said, examples) if isinstance(task, DrawsCharts) else ()


def calibrated(trainer: Trainer, prepared: Prepared) -> tuple[Prepared, dict[str, str], Sequence[Any] | None]:
    """The task with probabilities that fit dev, and a fact that says what came of it; as it was where it has none.

    With its outputs of dev, where these are known by then.
    """
    task, dev = prepared.task, prepared.splits["dev"]
    if isinstance(task, Conforms):
        fitted = task.conformed(outputs(trainer.model, task, dev, device=trainer.device), dev)
        return replace(prepared, task=fitted), {"intervals": fitted.conformal} if fitted.conformal else {}, None
    if isinstance(task, FitsThreshold):
        if not task.tunes:
            return prepared, {}, None
        tuned = task.thresholded(outputs(trainer.model, task, dev, device=trainer.device), dev)
        return replace(prepared, task=tuned), {"threshold": tuned.fitted}, None
    if not isinstance(task, Calibrates):
        return prepared, {}, None
    said = outputs(trainer.model, task, dev, device=trainer.device)
    fitted = task.calibrated(said, dev)
    if fitted.temperature == 1.0:
        return prepared, {}, said
    fits = outputs(trainer.model, fitted, dev, device=trainer.device)
    before, after = ({s.name: s.value for s in task.score(rows, dev, "dev")} for rows in (said, fits))
    names = {"log_loss": "log loss", "calibration_error": "calibration error"}
    changes = [f"{word} {before[name]:.4g} to {after[name]:.4g}" for name, word in names.items() if name in before]
    sentence = f"temperature {fitted.temperature:.4g}, fitted on {len(dev):,} dev rows: {', '.join(changes)}"
    return replace(prepared, task=fitted), {"calibration": sentence}, fits


def take_best(trainer: Trainer, checkpoints: Checkpoints, folder: RunFolder) -> None:
    """Put the best weights into the model; of a run that goes on after its end they may be those that it ended with.

    The last ones stay where no epoch has a best score.
    Raises RunError if the best ones are damaged, or neither are there.
    """
    # A run that was killed after the first best checkpoint has it, and a last one that does not know.
    if trainer.best.value is None and not checkpoints.best.is_file():
        return
    try:
        best = checkpoints.load_best()
    except MissingError:
        if step_of(folder.weights) != trainer.best.step:
            raise
        load_weights(folder.weights, trainer.model)
        return
    put_weights(trainer.model, best.model, checkpoints.best)
    if best.best != trainer.best.state():  # killed between the save of the best and that of the last
        try:
            trainer.best.restore(best.best)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{checkpoints.best}: does not hold its score: {error}. Train again.") from error


def read_report(folder: RunFolder) -> Report:
    """Scores and baselines of a run that has ended, as its files have them. Raises RunError."""
    found = {name: read_json(folder.path / name) for name in ("scores.json", "baselines.json")}
    title = f"{folder.path.resolve().name}"
    try:
        scores = _scores(found["scores.json"])
        return Report(title, scores, {name: _scores(several) for name, several in found["baselines.json"].items()})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{folder.path}: its scores are damaged ({type(error).__name__}: {error}).") from error


def _scores(values: Any) -> tuple[Score, ...]:
    return tuple(
        Score(v["name"], math.nan if v["value"] is None else float(v["value"]), v["unit"], v["better"], v["split"])
        for v in values
    )


def facts(trainer: Trainer, prepared: Prepared, select: str, notes: Sequence[str]) -> dict[str, str | int | float]:
    """What ran, on what."""
    parameters = sum(p.numel() for p in trainer.model.parameters())
    value = trainer.best.value
    found: dict[str, Any] = {
        **prepared.facts,
        "parameters": parameters,
        "steps": trainer.step,
        "training seconds": round(trainer.seconds, 1),
        "best epoch by": f"{select}, {value:.4f} at step {trainer.best.step}"
        if value is not None
        else f"{select}: none",
        "seed": trainer.settings.training.seed,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "versions": f"recurra {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }
    for number, change in enumerate(trainer.changes, start=1):
        found[f"change {number}"] = change
    for number, message in enumerate([*prepared.notes, *notes], start=1):
        found[f"note {number}"] = message
    return found


def charts(folder: RunFolder, select: str, unit: str) -> tuple[Chart, ...]:
    """Loss by step and the chosen dev score by epoch, from the log. unit: of the loss"""
    lines: list[dict[str, Any]] = list(read_log(folder.log))
    steps = [(float(e["step"]), float(e["loss"])) for e in lines if e["event"] == "step" and e["loss"] is not None]
    dev = [e for e in lines if e["event"] == "dev"]
    scores = [(float(e["epoch"]), float(e[select])) for e in dev if e.get(select) is not None]
    loss = [(float(e["step"]), float(e["log_loss"])) for e in dev if e.get("log_loss") is not None]
    parts = sorted({name for e in lines if e["event"] == "step" for name in e if name.startswith("loss_")})
    apart = [Curve(name.removeprefix("loss_"), _by_step(lines, name)) for name in parts]
    norms = [(float(e["step"]), float(e["grad_norm"])) for e in lines if e["event"] == "step" and e.get("grad_norm")]
    return (
        Chart(
            "Loss", "step", f"{unit} per target", (Curve("train, per batch", tuple(steps)), Curve("dev", tuple(loss)))
        ),
        *((Chart("What the loss consists of", "step", f"{unit} per target", tuple(apart)),) if apart else ()),
        Chart(f"Dev {select}", "epoch", select, (Curve(select, tuple(scores)),)),
        Chart("Gradient before clipping", "step", "norm", (Curve("norm", tuple(norms)),)),
    )


def _by_step(lines: Sequence[dict[str, Any]], name: str) -> tuple[tuple[float, float], ...]:
    return tuple((float(e["step"]), float(e[name])) for e in lines if e["event"] == "step" and e.get(name) is not None)
