"""The end of a run: the best weights, their scores beside the baselines, and what people read."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import torch

from recurra import __version__
from recurra.api.answering import outputs
from recurra.api.doctoring import for_report
from recurra.api.learner import Learner
from recurra.api.places import RunFolder
from recurra.api.prepare import Prepared
from recurra.api.samples import sample_texts, write_samples
from recurra.base.contracts import Report, Watcher
from recurra.report import Chart, Curve, write
from recurra.training import Checkpoints, put_weights, save_weights
from recurra.training.log import read as read_log

# Among them are enough to choose a few texts from.
MOST_ROWS = 1000


def final_report(
    learner: Learner,
    prepared: Prepared,
    checkpoints: Checkpoints,
    folder: RunFolder,
    select: str,
    watch: Watcher,
) -> Report:
    """Score the best weights on dev and test, write them and the report. Raises RunError if they are damaged."""
    if learner.best.value is not None:
        put_weights(learner.model, checkpoints.load_best().model, checkpoints.best)
    else:
        watch.note(f"no epoch had a finite {select}: the last weights are kept.")
    scored = {name: rows for name, rows in prepared.splits.items() if name != "train"}
    answers = {
        name: outputs(learner.model, prepared.task, rows, device=learner.device) for name, rows in scored.items()
    }
    last = list(scored)[-1]
    compared = prepared.task.baselines(prepared.splits["train"], scored)
    for message in compared.notes:
        watch.note(message)
    gradients, carried = for_report(learner.model, prepared.task, scored[last], learner.device)
    report = Report(
        title=f"{folder.path.resolve().name}: {learner.settings.tree['task']['name']}",
        scores=tuple(s for name, rows in scored.items() for s in prepared.task.score(answers[name], rows, name)),
        baselines=compared.scores,
        tables=(
            *prepared.task.tables(answers[last], scored[last]),
            *prepared.task.samples(learner.model, learner.device),
        ),
        facts=facts(learner, prepared, select, [*compared.notes, *([learner.skipped] if learner.skipped else [])])
        | gradients,
    )
    rows = map(prepared.task.answer, scored[last][:MOST_ROWS], answers[last])
    write_samples(folder, sample_texts(prepared.task, list(rows)))
    save_weights(folder.weights, learner.model)
    drawn = write(
        folder.path,
        report,
        charts=[*prepared.task.charts(answers[last], scored[last]), *charts(folder, select), *carried],
        maps=prepared.task.pictures(learner.model, scored[last], learner.device),
        settings=folder.config.read_text(),
    )
    for message in drawn.notes:
        watch.note(message)
    return report


def facts(learner: Learner, prepared: Prepared, select: str, notes: Sequence[str]) -> dict[str, str | int | float]:
    """What ran, on what."""
    parameters = sum(p.numel() for p in learner.model.parameters())
    value = learner.best.value
    found: dict[str, Any] = {
        **prepared.facts,
        "parameters": parameters,
        "steps": learner.step,
        "training seconds": round(learner.seconds, 1),
        "best epoch by": f"{select}, {value:.4f} at step {learner.best.step}"
        if value is not None
        else f"{select}: none",
        "seed": learner.settings.training.seed,
        "device": str(learner.device),
        "threads": torch.get_num_threads(),
        "versions": f"recurra {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }
    for number, change in enumerate(learner.changes, start=1):
        found[f"change {number}"] = change
    for number, message in enumerate([*prepared.notes, *notes], start=1):
        found[f"note {number}"] = message
    return found


def charts(folder: RunFolder, select: str) -> tuple[Chart, ...]:
    """Loss by step and the chosen dev score by epoch, from the log."""
    lines: list[dict[str, Any]] = list(read_log(folder.log))
    steps = [(float(e["step"]), float(e["loss"])) for e in lines if e["event"] == "step" and e["loss"] is not None]
    dev = [e for e in lines if e["event"] == "dev"]
    scores = [(float(e["epoch"]), float(e[select])) for e in dev if e.get(select) is not None]
    loss = [(float(e["step"]), float(e["log_loss"])) for e in dev if e.get("log_loss") is not None]
    norms = [(float(e["step"]), float(e["grad_norm"])) for e in lines if e["event"] == "step" and e.get("grad_norm")]
    return (
        Chart("Loss", "step", "nats per target", (Curve("train, per batch", tuple(steps)), Curve("dev", tuple(loss)))),
        Chart(f"Dev {select}", "epoch", select, (Curve(select, tuple(scores)),)),
        Chart("Gradient before clipping", "step", "norm", (Curve("norm", tuple(norms)),)),
    )
