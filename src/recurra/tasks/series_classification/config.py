"""What a config says of a classification of series, before any data is read."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.normal import spellings
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.formats import field
from recurra.data.scaling import Scaler, Scaling
from recurra.data.spectra import SPECTRA, Spectrum
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.label_task import class_weights, labels_from_json
from recurra.tasks.labels import LabelKind, ManyLabels, OneLabel, label_set
from recurra.tasks.series_classification.columns import format_of, suggested
from recurra.tasks.series_classification.reader import Keep, Missing, Raw, SeriesReader, features_of, raw_series
from recurra.tasks.series_classification.sizing import sized
from recurra.tasks.series_classification.sounds import SoundRow, read_sound
from recurra.tasks.series_classification.task import AnyExample, SeriesClassification, example_of
from recurra.tasks.sizing import Choice, Options, Seen


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """Numbers (T, F) and what they should be, before anything is fitted. spelt: the labels as the file has them"""

    raw: Raw
    gold: Any
    stratum: str
    spelt: tuple[str, ...]
    origin: Origin

    @property
    def key(self) -> str:
        return digest_of(self.raw).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesClassificationConfig:
    """Which label a series of numbers has: sensors, sound features, paths, signals."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("vectors",), "head": ("label",), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    values: Annotated[
        str | tuple[str, ...],
        Opt("column of numbers, one a step or a list for each step; or several columns, side by side", named=True),
    ] = "values"
    sound: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("values are sound files, read as log-mel features by this definition; null: they are numbers", SPECTRA),
    ] = None
    label: Annotated[str, Opt("column with the label", named=True)] = "label"
    labels: Annotated[Literal["one", "many"], Opt("how many labels a row has; many: any number, none too")] = "one"
    separator: Annotated[str | None, Opt("between labels in one cell; only with labels: many")] = None
    scaling: Annotated[
        Scaling,
        Opt("standard: by mean and deviation in the training data; series: by those of the series itself"),
    ] = "standard"
    missing: Annotated[
        Missing, Opt("numbers that are missing; mask: read as 0, with a mark beside that tells what is there")
    ] = "refuse"
    max_length: Annotated[int | None, Opt("steps of a series that are read; null is no limit", ge=1)] = None
    keep: Annotated[Keep, Opt("which end of a longer series is read")] = "start"
    class_weights: Annotated[
        Literal["none", "balanced"] | dict[str, float],
        Opt("weight of each label in the loss; balanced: every label counts alike", gt=0),
    ] = "none"
    label_smoothing: Annotated[
        float, Opt("share of the target that is spread over all labels; only with labels: one", ge=0, lt=1)
    ] = 0.0
    calibration: Annotated[
        Literal["temperature", "none"],
        Opt("calibration of probabilities; temperature: scaled to fit dev, no answer changes (Guo et al. 2017)"),
    ] = "temperature"

    def __post_init__(self) -> None:
        problems = []
        if not self.columns or len(set(self.columns)) < len(self.columns):
            problems.append(f"values: expected a column, or different ones, got {list(self.columns)}.")
        if self.label in self.columns:
            problems.append(f"label: is '{self.label}', a column of values too; expected another column.")
        if self.labels == "one" and self.separator is not None:
            problems.append("separator: has no effect with labels: one; leave it out, or set labels: many.")
        if self.labels == "many" and self.label_smoothing:
            problems.append("label_smoothing: has no effect with labels: many; leave it out.")
        if self.labels == "many" and self.class_weights == "balanced":
            problems.append("class_weights: balanced needs labels: one; give a map of label: weight, or leave it out.")
        if self.sound is not None and len(self.columns) > 1:
            problems.append("values: with sound it is one column, of sound files; expected its name alone.")
        if self.sound is not None and self.missing != "refuse":
            problems.append("missing: has no effect with sound, where no number is missing; leave it out.")
        if self.separator == "":
            problems.append("separator: is empty; expected a text that stands between labels, such as ','.")
        if problems:
            raise ConfigError(problems)
        _ = self.spectrum  # what its options refuse is said now

    @property
    def spectrum(self) -> Spectrum | None:
        """How sounds become numbers; None where they are numbers already."""
        made: Spectrum | None = None if self.sound is None else build(self.sound, SPECTRA)
        return made

    @property
    def kind(self) -> LabelKind:
        return OneLabel() if self.labels == "one" else ManyLabels(self.separator or ",")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose numbers stand side by side."""
        return (self.values,) if isinstance(self.values, str) else self.values

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns of numbers, or the one of sounds."""
        return tuple(Field(name, "numbers" if self.sound is None else "audio") for name in self.columns)

    @property
    def step_fields(self) -> tuple[str, ...]:
        """The same: each row of a file in long form is a step. A sound is no step."""
        return self.columns if self.sound is None else ()

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (*self.columns, self.label)

    @property
    def splits(self) -> tuple[str, ...]:
        """Ways to take dev and test from train; the first one where the config names none."""
        return ("random", "hash", "folds", "ordered")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        spectrum = self.spectrum
        return {"features": len(self.columns) if spectrum is None else spectrum.num_features, "labels": 2}

    @classmethod
    def format_of(cls, file: Path) -> str:
        """The format of a file that `init` reads."""
        return format_of(file)

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> SeriesRow | SoundRow:
        """The numbers, or the sound, and the labels of a record.

        Raises DataError, with file, line and step, if nothing can be learned from it.
        """
        if (spectrum := self.spectrum) is not None:
            return SoundRow(read_sound(record, self.columns[0], spectrum), spectrum, *self._labels(record))
        raw = raw_series(record, self.columns, self.missing)
        if not len(raw):
            raise DataError(
                f"{record.origin}: has no step; expected numbers. Fill them in, or set data.on_error: skip."
            )
        return SeriesRow(raw, *self._labels(record), record.origin)

    def _labels(self, record: Record) -> tuple[Any, str, tuple[str, ...]]:
        """What a record should be, what a split keeps of it in proportion, and its labels as the file has them."""
        gold, spelt = self.kind.read(field(record, self.label), record.origin)
        return gold, sys.intern("\n".join(sorted(self.kind.names([gold])))), spelt

    def check(self, record: Record) -> None:
        """Raise DataError, with file, line and step, if this record cannot be learned from."""
        self.read(record)

    def fit(self, records: Sequence[Record], source: str) -> SeriesClassification:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Sequence[SeriesRow | SoundRow], source: str
    ) -> tuple[SeriesClassification, list[AnyExample]]:
        """Scales and labels from training rows, and these as examples.

        Raises DataError if there is nothing to learn, and for series of other numbers of features than the first.
        """
        gold = [row.gold for row in rows]
        labels = label_set(self.kind, Counter(gold), source)
        spectrum = self.spectrum
        number = (
            features_of(((row.raw, row.origin) for row in rows), source)
            if spectrum is None
            else (spectrum.num_features)
        )
        reader = SeriesReader(
            Scaler.fit(self.scaling, (row.raw for row in rows), number), self.missing, self.max_length, self.keep
        )
        merged = spellings(chain.from_iterable(row.spelt for row in rows))
        task = SeriesClassification(self, reader, labels, class_weights(self, labels, Counter(gold)), merged)
        return task, [example_of(reader, row) for row in rows]

    def restore(self, data: Mapping[str, Any], origin: str) -> SeriesClassification:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, (labels, weights, temperature) = SeriesReader.from_json(data["reader"]), labels_from_json(data)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise RunError(f"{origin}: expected scales and labels of series: {str(error)[:300]}.") from error
        return SeriesClassification(self, reader, labels, weights, temperature=temperature)
