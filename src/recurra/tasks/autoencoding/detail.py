"""Which scales of a row come back: detail that an autoencoder loses is lost from the finest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score, Table
from recurra.base.words import counted
from recurra.metrics.scales import Scale, finest, powers_by_scale

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding, Rebuilt
    from recurra.tasks.series_task import AnyExample

# Rows that are looked at, spread over all; numbers of a line, or steps, from which on it has scales.
ROWS, LEAST = 1000, 4


def scales_of(
    task: Autoencoding, outputs: Sequence[Rebuilt], examples: Sequence[AnyExample]
) -> tuple[tuple[Scale, ...], str]:
    """Scales of series, by step, and of pictures, by pixel; none of columns without an order. With the word for a step.

    Nor of numbers that a likelihood draws as 0 or 1, or as categories: what is expected of them has less power.
    """
    steps = task.reader.steps or task.statistics.steps
    if steps < LEAST or task.plan.likelihood in ("bernoulli", "categorical") or not examples:
        return (), ""
    every = max(1, len(examples) // ROWS)
    some = range(0, len(examples), every)
    features = task.reader.num_features
    truth, said = (
        [_lines(row, features) for row in rows]
        for rows in (task.rows([examples[n] for n in some]), [outputs[n].values for n in some])
    )
    picture = _is_picture(task, steps, features)
    return powers_by_scale(truth, said, (0, 1) if picture else (0,)), "pixel" if picture else "step"


def detail_score(scales: Sequence[Scale], split: str) -> tuple[Score, ...]:
    """How much of the finest detail is left; nothing where there are no scales."""
    fine = finest(scales)
    return () if fine is None else (Score("detail_kept", fine.kept, "0..1", "neither", split),)


def scale_table(scales: Sequence[Scale], of: str) -> tuple[Table, ...]:
    """The power of each scale, and what is left of it."""
    if not scales:
        return ()
    rows = tuple((counted(one.size, of), f"{one.share:.1%}", f"{one.kept:.3f}") for one in scales)
    return (
        Table(
            "Detail by scale",
            ("differences between stretches of", "of the rows' power", "share of it that comes back"),
            rows,
        ),
    )


def _lines(row: Any, features: int) -> NDArray[np.float64]:
    """(T, F) as data has them, of a row that may be one vector."""
    found: NDArray[np.float64] = np.asarray(row, np.float64).reshape(-1, features)
    return found


def _is_picture(task: Autoencoding, steps: int, features: int) -> bool:
    """Whether the numbers of a line are neighbours: of one column, and not colours side by side, by their number."""
    grey = features == steps or features % 3 != 0
    return task.plan.flatten and len(task.plan.columns) == 1 and features >= LEAST and grey
