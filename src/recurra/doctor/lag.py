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
    return _last(_real(trail))


def by_distance(trail: Recording, *series: Sequence[Tensor | None]) -> list[Floats]:
    """Of each series (D, N) the Euclidean norm of its rows, one (N_t, width) a moment, by the steps to the row's end.

    None is a zero. NaN where a row has no step so far back, or the step is padding.
    """
    real = _real(trail)
    last, sizes = _last(real), [len(one) for one in real]
    known = np.flatnonzero(np.concatenate(real))
    row = np.concatenate([np.arange(size) for size in sizes])[known]
    distance = last[row] - np.repeat(np.arange(len(sizes)), sizes)[known]
    found = []
    for values in series:
        norms = np.zeros(sum(sizes))
        if there := [value for value in values if value is not None]:
            norms[np.repeat([value is not None for value in values], sizes)] = norm_of_rows([torch.cat(there)])
        table = np.full((int(last.max(initial=-1)) + 1, len(last)), np.nan)
        table[distance, row] = norms[known]
        found.append(table)
    return found


def _real(trail: Recording) -> list[NDArray[np.bool_]]:
    return [real_rows(moment).cpu().numpy() for moment in trail.moments]


def _last(real: Sequence[NDArray[np.bool_]]) -> Ints:
    last = np.full(len(real[0]) if real else 0, -1, dtype=np.int64)
    for k, rows in enumerate(real):
        last[: len(rows)][rows] = k
    return last


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
