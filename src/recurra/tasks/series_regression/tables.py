"""What a report shows of predicted numbers: formulas, the worst rows, and truth against prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Table
from recurra.metrics.overlaps import overlaps
from recurra.metrics.regression import FORMULAS, OF_BOXES
from recurra.report import Chart, Curve

if TYPE_CHECKING:
    from recurra.tasks.series_regression.task import SeriesRegression
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float64]
WORST = 20
# Targets that get a chart.
MOST_CHARTS = 6


def regression_tables(
    task: SeriesRegression, outputs: Sequence[Floats], examples: Sequence[AnyExample]
) -> tuple[Table, ...]:
    """The formulas of the scores, and the worst rows."""
    words = [word for word in FORMULAS if task.plan.boxes or word not in OF_BOXES]
    formulas = Table("What the scores are", ("score", "formula"), tuple((word, FORMULAS[word]) for word in words))
    return formulas, worst_rows(task, outputs, examples)


def worst_rows(task: SeriesRegression, outputs: Sequence[Floats], examples: Sequence[AnyExample]) -> Table:
    """Of boxes those of the least IoU; else of the largest error, the mean of targets in their deviations."""
    said, truth = _numbers(task, outputs), task.truth(examples)
    if task.plan.boxes:
        how, each = "IoU", overlaps(truth, said)
        order = np.argsort(each, kind="stable")[:WORST]
    else:
        how, each = "error in deviations", (np.abs(truth - said) / task.scaler.scale).mean(1)
        order = np.argsort(-each, kind="stable")[:WORST]
    rows = tuple((_shown(truth[n]), _shown(said[n]), f"{each[n]:.4g}", str(examples[n].origin)) for n in order)
    return Table(f"The worst rows: {', '.join(task.names)}", ("true", "predicted", how, "place"), rows)


def regression_charts(
    task: SeriesRegression, outputs: Sequence[Floats], examples: Sequence[AnyExample]
) -> tuple[Chart, ...]:
    """Of each target, what was said over what is true, beside the line on which both are the same."""
    said, truth = _numbers(task, outputs), task.truth(examples)
    return tuple(_against(name, truth[:, k], said[:, k]) for k, name in enumerate(task.names[:MOST_CHARTS]))


def _numbers(task: SeriesRegression, outputs: Sequence[Floats]) -> Floats:
    """(N, D) without what is said of how far off they may be."""
    return np.stack(outputs)[:, : len(task.names)]


def _against(name: str, truth: Floats, said: Floats) -> Chart:
    order = np.argsort(truth, kind="stable")
    dots = tuple((float(truth[n]), float(said[n])) for n in order)
    ends = tuple((float(end), float(end)) for end in (truth[order[0]], truth[order[-1]]))
    curves = (Curve("prediction", dots, dots=True), Curve("truth", ends))
    return Chart(f"Truth against prediction: {name}", f"true {name}", f"predicted {name}", curves)


def _shown(numbers: Floats) -> str:
    return ", ".join(f"{number:.5g}" for number in numbers)
