"""From the fields of a record to the numbers that a model reads: several columns side by side, scaled, masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.fields import numbers_of
from recurra.data.formats import field
from recurra.data.joints import Skeleton
from recurra.data.scaling import Scaler

Missing = Literal["refuse", "mask"]
Keep = Literal["start", "end"]
Raw = NDArray[np.float32]
_LENGTHS = " Give every row as many steps, cut longer ones with task.max_length, or leave flatten out."
# float32 has numbers to here.
LARGEST = float(np.finfo(np.float32).max)

# One step whose number is missing.
GONE = np.full((1, 1), np.nan)
NOTHING = np.zeros((0, 1))


def raw_series(record: Record, columns: Sequence[str], missing: Missing) -> Raw:
    """(T, F) float32: the numbers of a record, as `written_series`."""
    return written_series(record, columns, missing).astype(np.float32)


def written_series(record: Record, columns: Sequence[str], missing: Missing) -> NDArray[np.float64]:
    """(T, F) the numbers of a record, as they are; NaN where one is missing.

    Raises DataError, with file, line, column and step, for what is no number, for columns of different lengths, and
    for numbers that are missing unless they are masked.
    """
    cells = [(name, field(record, name)) for name in columns]
    some = any(cell is not None for _, cell in cells)
    found = [
        (name, NOTHING if cell is None and some else numbers_of(cell, record.origin, name)) for name, cell in cells
    ]
    if max(len(values) for _, values in found) == 1:  # an empty cell alone is a series without steps
        found = [
            (name, GONE if _is_empty(cell) else values) for (name, values), (_, cell) in zip(found, cells, strict=True)
        ]
    name, first = found[0]
    for other, values in found[1:]:
        if len(values) != len(first):
            raise DataError(
                f"{record.origin}: column '{other}' has {len(values):,} steps, column '{name}' {len(first):,}; "
                "expected as many in each."
            )
    for column, values in found:
        if len(found) > 1 and values.shape[1] > 1:
            raise DataError(
                f"{record.origin}: column '{column}' has {values.shape[1]} numbers a step; of several columns each has "
                "one. Name this column alone, or put all numbers of a step into it."
            )
        _refuse_unusable(values, record, column, missing)
    return np.concatenate([values for _, values in found], axis=1)


def _is_empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _refuse_unusable(values: NDArray[np.float64], record: Record, column: str, missing: Missing) -> None:
    gone = np.isnan(values)
    if missing == "refuse" and gone.any():
        step = int(np.flatnonzero(gone.any(1))[0])
        raise DataError(
            f"{place_of(record, step)}: column '{column}', step {step + 1}: the number is missing. Fill it in, or set "
            "task.missing: mask, so that a mark of what is missing is read beside."
        )
    large = ~gone & ~(np.abs(values) <= LARGEST)
    if large.any():
        step = int(np.flatnonzero(large.any(1))[0])
        number = values[step][large[step]][0]
        raise DataError(f"{place_of(record, step)}: column '{column}', step {step + 1}: {number} is no finite number.")


def place_of(record: Record, step: int) -> Origin:
    """Where a step stands: of a record that many rows make, the row of the step."""
    return record.steps[step] if step < len(record.steps) else record.origin


@dataclass(frozen=True, slots=True)
class SeriesReader:
    """What a model reads of a series. max_length: steps that are kept, from the start or the end; None keeps all.

    steps: of every series, where they are one vector (`flatten`); None: the model reads them one by one
    joints: what is made of the numbers of a step, where they are joints
    """

    scaler: Scaler
    missing: Missing
    max_length: int | None
    keep: Keep
    steps: int | None = None
    joints: Skeleton | None = None

    @property
    def num_features(self) -> int:
        """Numbers of a step in the data."""
        read = len(self.scaler.shift) // (self.steps or 1)
        return read if self.joints is None else self.joints.written(read)

    @property
    def width(self) -> int:
        """Numbers of a step that the model reads: with a mask one more for each."""
        return len(self.scaler.shift) * (2 if self.missing == "mask" else 1)

    def num_read(self, steps: int) -> int:
        """How many steps of a series of so many are read."""
        return steps if self.max_length is None else min(steps, self.max_length)

    def length(self, steps: int) -> int:
        """Steps of the model for a series of so many: one where they are one vector."""
        return self.num_read(steps) if self.steps is None else min(self.num_read(steps), 1)

    def ready(self, raw: NDArray[Any], origin: Origin) -> NDArray[np.float32]:
        """(T, width): scaled, 0 where a number is missing, and beside it 1 where one is there; of one vector T is 1.

        Raises DataError for another number of features than in training; of one vector, of steps too.
        """
        if raw.shape[1] != self.num_features:
            self._refuse(raw, origin)
        scaled = self._scaled(seen(raw, self.joints, self.max_length, self.keep), origin)
        if self.missing == "refuse":
            return scaled.astype(np.float32)
        there = ~np.isnan(scaled)
        return np.concatenate([np.where(there, scaled, 0.0), there], axis=1).astype(np.float32)

    def _scaled(self, kept: NDArray[Any], origin: Origin) -> NDArray[np.float64]:
        """Scaled, and flat where a series is one vector: each of its numbers then has a scale of its own."""
        if self.steps is None:
            return self.scaler(kept)
        if not len(kept):
            return np.zeros((0, len(self.scaler.shift)))
        if len(kept) != self.steps:
            raise DataError(
                f"{origin}: has {counted(len(kept), 'step')}, expected {self.steps}, as training data had: with "
                f"task.flatten all steps are one vector.{_LENGTHS}"
            )
        return flat(self.scaler(kept)) if self.scaler.how == "series" else self.scaler(flat(kept))

    def _refuse(self, raw: NDArray[Any], origin: Origin) -> None:
        hint = ""
        if len(raw) == self.num_features:
            hint = " Its axes may be exchanged: expected steps, with the numbers of each."
        raise DataError(f"{origin}: has {_numbers(raw.shape[1])} a step, training data had {self.num_features}.{hint}")

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "scaler": self.scaler.to_json(),
            "missing": self.missing,
            "max_length": self.max_length,
            "keep": self.keep,
            "steps": self.steps,
            "joints": None if self.joints is None else self.joints.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SeriesReader:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        missing, limit, keep, steps = data["missing"], data["max_length"], data["keep"], data.get("steps")
        if missing not in ("refuse", "mask") or keep not in ("start", "end"):
            raise ValueError(f"missing {missing!r} and keep {keep!r}")
        if not (limit is None or (isinstance(limit, int) and limit > 0)):
            raise ValueError(f"max_length {limit!r}")
        scaler = Scaler.from_json(data["scaler"])
        if not (steps is None or (isinstance(steps, int) and steps > 0 and len(scaler.shift) % steps == 0)):
            raise ValueError(f"{steps!r} steps of {len(scaler.shift)} numbers")
        joints = data.get("joints")
        return cls(scaler, missing, limit, keep, steps, None if joints is None else Skeleton.from_json(joints))


def cut(raw: NDArray[Any], limit: int | None, keep: Keep) -> NDArray[Any]:
    """The steps of a series (T, F) that are read."""
    if limit is None or len(raw) <= limit:
        return raw
    return raw[:limit] if keep == "start" else raw[-limit:]


def seen(raw: NDArray[Any], joints: Skeleton | None, limit: int | None, keep: Keep) -> NDArray[Any]:
    """The numbers of a series that are read, before they are scaled: of its steps, or of what is made of joints."""
    kept = cut(raw, limit, keep)
    return kept if joints is None else joints(kept)


def flat(values: NDArray[Any]) -> NDArray[Any]:
    """(1, T * F) of (T, F), step by step."""
    return values.reshape(1, -1)


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def features_of(rows: Iterable[tuple[Raw, Origin]], source: str) -> int:
    """How many numbers a step has, in every series. Raises DataError, with file and line, for one that has others."""
    first, where = next(rows := iter(rows))
    for raw, origin in rows:
        if raw.shape[1] != first.shape[1]:
            turned = " Are its axes exchanged? Expected steps, with the numbers of each." * (
                raw.shape[0] == first.shape[1]
            )
            raise DataError(
                f"{origin}: has {_numbers(raw.shape[1])} a step, and {where} has {first.shape[1]}; expected as many in "
                f"every series of {source}.{turned}"
            )
    return int(first.shape[1])


def steps_of(rows: Iterable[tuple[Raw, Origin]], source: str) -> int:
    """How many steps every series has, for one vector of each. Raises DataError, with file and line, for another."""
    first, where = next(rows := iter(rows))
    for raw, origin in rows:
        if len(raw) != len(first):
            raise DataError(
                f"{origin}: has {counted(len(raw), 'step')}, expected {len(first)}, as {where} has: with task.flatten "
                f"all steps are one vector, as long in every row of {source}.{_LENGTHS}"
            )
    return len(first)
