"""Baselines beside a model: of all training rows, or of a sample where there are so many that it tells as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from recurra.data.store import lengths_of
from recurra.metrics import Compared
from recurra.tasks import Task

# Rows, and time steps of all rows together, that baselines are made from at most: TF-IDF of as many short texts takes
# half a GiB.
MOST_ROWS, MOST_STEPS = 200_000, 20_000_000


def compared(task: Task, train: Sequence[Any], splits: Mapping[str, Sequence[Any]]) -> Compared:
    """The baselines of a task; a note says where they are of a sample: rows that are as far apart as each other."""
    number = _enough(train)
    if number == len(train):
        return task.baselines(train, splits)
    some = [train[k * len(train) // number] for k in range(number)]
    found = task.baselines(some, splits)
    note = f"baselines: made from {number:,} of {len(train):,} train rows, evenly spaced, as there are so many."
    return replace(found, notes=(note, *found.notes))


def _enough(train: Sequence[Any]) -> int:
    """How many rows are within both limits."""
    steps = max(int(lengths_of(train).sum()), 1)
    return max(1, min(len(train), MOST_ROWS, len(train) * MOST_STEPS // steps))
