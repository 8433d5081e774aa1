"""What a config says of a regression of series, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import Opt
from recurra.base.words import as_written, counted
from recurra.data.fields import numbers_of
from recurra.data.formats import field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.scaling import Scaler
from recurra.losses.forecasts import KINDS
from recurra.metrics.regression import BOX
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.series_plan import AnyRow, SeriesPlan
from recurra.tasks.series_reader import SeriesReader
from recurra.tasks.series_regression.columns import regression_suggested
from recurra.tasks.series_regression.sizing import sized
from recurra.tasks.series_regression.task import SeriesRegression
from recurra.tasks.series_task import AnyExample, example_of
from recurra.tasks.sizing import Choice, Options, Seen


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesRegressionConfig(SeriesPlan):
    """Which numbers a series, a vector or a picture has: a price, an age, a box around what is seen."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("vectors",), "head": ("numbers",), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    target: Annotated[
        str | tuple[str, ...],
        Opt("column with the number to predict, or a list of them in each row; or several columns", named=True),
    ] = "target"
    boxes: Annotated[bool, Opt("targets are x, y, width and height of a box; scored by IoU")] = False
    loss: Annotated[
        Literal["mse", "mae", "huber", "gaussian"],
        Opt(
            "error of targets over their deviation in the training data; mse aims at the mean, mae at the median; "
            "gaussian says how far off each may be too, which ranks boxes"
        ),
    ] = "mse"

    def __post_init__(self) -> None:
        problems = self.input_problems()
        if not self.targets or len(set(self.targets)) < len(self.targets):
            problems.append(f"target: expected a column, or different ones, got {list(self.targets)}.")
        if shared := sorted(set(self.targets) & set(self.columns)):
            problems.append(f"target: '{shared[0]}' is a column of values too; expected another column.")
        if self.boxes and len(self.targets) not in (1, len(BOX)):
            got = counted(len(self.targets), "column")
            problems.append(f"boxes: target is {got}, expected 4: {', '.join(BOX)}; or one with a list of these.")
        if problems:
            raise ConfigError(problems)
        _ = self.spectrum  # what its options refuse is said now

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns of numbers to predict."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (*self.columns, *self.targets)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        number = len(BOX) if self.boxes else len(self.targets)
        return {"features": self.least_features, "targets": number * KINDS[self.loss](()).size}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return regression_suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def wanted(self, record: Record) -> tuple[tuple[float, ...], str, tuple[str, ...]]:
        """The numbers of a record. Raises DataError, with file, line and column, for what is none."""
        each = [_numbers(field(record, name), record.origin, name) for name in self.targets]
        for name, found in zip(self.targets, each, strict=True):
            if len(each) > 1 and len(found) != 1:
                raise DataError(f"{record.origin}: column '{name}' has {len(found)} numbers, expected 1.")
        gold = tuple(float(number) for found in each for number in found)
        if self.boxes:
            _refuse_no_box(gold, record.origin)
        return gold, "", ()

    def fit(self, records: Sequence[Record], source: str) -> SeriesRegression:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[AnyRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[SeriesRegression, Iterator[AnyExample]]:
        """Scales of what is read and of what is predicted from training rows, and these as examples.

        Raises DataError for series of other numbers of features, or of targets, than the first.
        """
        number = _num_targets(rows, source)
        scaler = Scaler.fit("standard", (np.array([row.gold]) for row in rows), number)
        task = SeriesRegression(self, self.reader_of(rows, source), scaler)
        return task, (example_of(task.reader, row) for row in means.encoding(rows))

    def restore(self, data: Mapping[str, Any], origin: str) -> SeriesRegression:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, scaler = SeriesReader.from_json(data["reader"]), Scaler.from_json(data["targets"])
            if len(self.targets) not in (1, len(scaler.shift)) or (self.boxes and len(scaler.shift) != len(BOX)):
                raise ValueError(f"{len(scaler.shift)} targets")
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise RunError(f"{origin}: expected scales of series and of targets: {str(error)[:300]}.") from error
        return SeriesRegression(self, reader, scaler)


def _num_targets(rows: Collection[AnyRow], source: str) -> int:
    """Numbers to predict, as many in every row. Raises DataError, with file and line, for a row with others."""
    first = next(iter(rows))
    for row in rows:
        if len(row.gold) != len(first.gold):
            raise DataError(
                f"{row.origin}: has {counted(len(row.gold), 'number')} to predict, and {first.origin} has "
                f"{len(first.gold)}; expected as many in every row of {source}."
            )
    return len(first.gold)


def _numbers(value: Any, origin: Origin, name: str) -> NDArray[np.float64]:
    """(D,) the numbers of a cell."""
    if isinstance(value, str) and "," in value and not value.lstrip().startswith("["):
        raise DataError(
            f"{origin}: column '{name}' holds {as_written(value)}: write a number with a point and without commas, or "
            "several as [1, 2]."
        )
    found = numbers_of(value, origin, name).ravel()
    if not len(found) or np.isnan(found).any():
        raise DataError(f"{origin}: column '{name}': the number is missing. Fill it in, or set data.on_error: skip.")
    if not np.isfinite(found).all():
        raise DataError(f"{origin}: column '{name}': {found[~np.isfinite(found)][0]} is no finite number.")
    return found


def _refuse_no_box(gold: Sequence[float], origin: Origin) -> None:
    if len(gold) != len(BOX):
        raise DataError(f"{origin}: has {counted(len(gold), 'number')} to predict, expected 4: {', '.join(BOX)}.")
    if not (gold[2] > 0 and gold[3] > 0):
        raise DataError(
            f"{origin}: its box has width {gold[2]:g} and height {gold[3]:g}, expected more than 0. A box is "
            f"{', '.join(BOX)}, not two corners."
        )
