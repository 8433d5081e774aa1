"""Steps counted from the end of each row: how far back in time something lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.engine.step_recording import Recording, real_rows

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def last_steps(trail: Recording) -> Ints:
    """(N,) the place of each row's last real step among the moments; -1 for a row without one."""
    rows = len(trail.moments[0].after[0]) if trail.moments else 0
    last = np.full(rows, -1, dtype=np.int64)
    for k, moment in enumerate(trail.moments):
        real = real_rows(moment).cpu().numpy()
        last[: len(real)][real] = k
    return last


def by_distance(trail: Recording, values: Sequence[Tensor | None]) -> Floats:
    """(D, N) the Euclidean norm of each row of `values`, one (N_t, width) a moment, by the steps to the row's end.

    None is a zero. NaN where a row has no step so far back, or the step is padding.
    """
    last = last_steps(trail)
    table = np.full((int(last.max(initial=-1)) + 1, len(last)), np.nan)
    for k, (moment, value) in enumerate(zip(trail.moments, values, strict=True)):
        real = real_rows(moment).cpu().numpy()
        norms = np.zeros(len(real)) if value is None else norm_of_rows([value])
        rows = np.flatnonzero(real)
        table[last[rows] - k, rows] = norms[rows]
    return table


def norm_of_rows(parts: Sequence[Tensor]) -> Floats:
    """(N,) the Euclidean norm of each row of all parts (N, ...) together, in float64."""
    squares = torch.stack([part.detach().to(torch.float64).flatten(1).square().sum(1) for part in parts]).sum(0)
    found: Floats = squares.sqrt().cpu().numpy()
    return found


def root_mean_square(table: Floats) -> Floats:
    """(D,) over the rows that have such a distance; NaN where none has."""
    known = ~np.isnan(table)
    count = known.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.sqrt((np.where(known, table, 0.0) ** 2).sum(1) / count)
    return found
