"""People, recordings and places that stand in two splits: a model may know them, and scores say less of new ones."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Listener, Record
from recurra.base.errors import DataError
from recurra.base.normal import name_of
from recurra.base.words import counted
from recurra.data.group_splits import group_of
from recurra.data.splits import NAMES, TRAIN

# What people call a column of those who are recorded, with or without `id`.
LIKELY = (
    *("subject", "person", "participant", "patient", "volunteer", "user", "speaker", "worker"),
    *("actor", "signer", "player", "rider", "driver", "performer", "respondent"),
)


class GroupColumns:
    """The columns of a file that name groups: those of `by`, else those that are called so; and the group of each row.

    apart: columns that are something else, such as the answer
    """

    def __init__(self, apart: Collection[str], by: Sequence[str] = ()) -> None:
        self._apart, self._by = set(apart), tuple(by)
        self._known: dict[str, dict[str, int]] | None = None
        self._rows: dict[str, array[int]] = {}

    def see(self, record: Record) -> None:
        """Take note of the groups of a record; a group that is empty counts for itself."""
        if self._known is None:
            names = self._by or [name for name in record.fields if name not in self._apart and looks_like_group(name)]
            self._known = {name: {} for name in names}
            self._rows = {name: array("i") for name in names}
        for name, known in self._known.items():
            self._rows[name].append(known.setdefault(_group(record, name), len(known)))

    def groups(self, mask: NDArray[np.bool_] | None = None) -> dict[str, dict[str, int]]:
        """How many rows each group has, by column; of the rows of a mask alone."""
        found = {}
        for name, known in (self._known or {}).items():
            rows = np.frombuffer(self._rows[name], np.int32)
            counts = np.bincount(rows if mask is None else rows[mask], minlength=len(known)).tolist()
            found[name] = {one: number for one, number in zip(known, counts, strict=True) if number and one}
        return found


def looks_like_group(name: str) -> bool:
    """Whether a column is called as those are that say who was recorded: subject, speaker_id, UserID."""
    plain = "".join(c for c in name_of(name).lower() if c.isalnum())
    return plain in LIKELY or (plain.endswith("id") and plain[:-2] in LIKELY)


def note_shared_groups(
    columns: Mapping[str, GroupColumns], watch: Listener, *, places: NDArray[np.uint8] | None = None
) -> None:
    """Say how many rows of dev and test are of groups of train. places: where rows of "train" went, as it was split"""
    own = columns[TRAIN]
    found = {name: one.groups() for name, one in columns.items()}
    if places is not None:
        found |= {name: own.groups(places == place) for place, name in enumerate(NAMES) if name not in found}
        found[TRAIN] = own.groups(places == NAMES.index(TRAIN))
    for column, train in found[TRAIN].items():
        if len(train) < 2 or sum(train.values()) == len(train):  # one alone cannot be kept apart
            continue
        said = []
        for name in ("dev", "test"):
            groups = found.get(name, {}).get(column, {})
            if shared := [one for one in groups if one in train]:
                said.append(f"{len(shared)} of {counted(len(groups), 'group')} of {name}")
        if said:
            watch.note(
                f"leak: column '{column}' says who a row is from, and {' and '.join(said)} stand in train too, so "
                f"scores are of those that the model knows. For new ones: data.split: {{name: group, by: {column}}}."
            )


def _group(record: Record, name: str) -> str:
    try:
        return group_of(record, (name,))
    except DataError:
        return ""


def columns_apart(settings: Any, layout: Any) -> tuple[str, ...]:
    """The columns that the task reads, and those by which rows make records."""
    return (*settings.plan.fields, *(layout.columns if layout is not None else ()))
