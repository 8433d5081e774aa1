"""What a config says of a classification of series, before any data is read."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.normal import spellings
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.films import FRAMES, Frames
from recurra.data.formats import field
from recurra.data.joints import JOINTS, Skeleton
from recurra.data.movements import AUGMENTATIONS, Movement
from recurra.data.preparing import IN_MEMORY, Means
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.label_task import class_weights, labels_from_json
from recurra.tasks.labels import LabelKind, ManyLabels, OneLabel, label_set
from recurra.tasks.series_classification.columns import label_among, with_joints
from recurra.tasks.series_classification.sizing import sized
from recurra.tasks.series_classification.task import SeriesClassification, label_sizes
from recurra.tasks.series_columns import suggested
from recurra.tasks.series_plan import AnyRow, SeriesPlan
from recurra.tasks.series_reader import SeriesReader
from recurra.tasks.series_task import AnyExample
from recurra.tasks.sizing import Choice, Options, Seen


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesClassificationConfig(SeriesPlan):
    """Which label a series of numbers has: sensors, sound features, paths, signals."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("vectors",), "head": ("label",), "wide": ("none", "forest", "kernels")},
        {"encoder.bidirectional": True},
    )

    frames: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("values are films, folders of pictures or videos; which frames are read; null: they are none", FRAMES),
    ] = None
    joints: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("the numbers of a step are the joints of a body, a hand or a face; null: they are numbers", JOINTS),
    ] = None
    augment: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("what training does to each series, anew in each epoch; null: nothing", AUGMENTATIONS),
    ] = None
    label: Annotated[str, Opt("column with the label", named=True)] = "label"
    labels: Annotated[Literal["one", "many"], Opt("how many labels a row has; many: any number, none too")] = "one"
    separator: Annotated[str | None, Opt("between labels in one cell; only with labels: many")] = None
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
        problems = self.input_problems()
        if self.label in self.columns:
            problems.append(f"label: is '{self.label}', a column of values too; expected another column.")
        if self.labels == "one" and self.separator is not None:
            problems.append("separator: has no effect with labels: one; leave it out, or set labels: many.")
        if self.labels == "many" and self.label_smoothing:
            problems.append("label_smoothing: has no effect with labels: many; leave it out.")
        if self.labels == "many" and self.class_weights == "balanced":
            problems.append("class_weights: balanced needs labels: one; give a map of label: weight, or leave it out.")
        if self.separator == "":
            problems.append("separator: is empty; expected a text that stands between labels, such as ','.")
        problems += self._unread()
        if problems:
            raise ConfigError(problems)
        _ = self.spectrum  # what its options refuse is said now
        if problems := self._undrawn():
            raise ConfigError(problems)
        if (joints := self.skeleton) is not None and joints.scale == "body" and self.scaling == "series":
            raise ConfigError("joints.scale: has no effect with scaling: series, which undoes it; leave one out.")

    def _undrawn(self) -> list[str]:
        """Options of what is drawn that cannot take effect, a sentence each."""
        if (movement := self.augmentation) is None:
            return []
        problems, joints = movement.problems(self.skeleton), self.skeleton
        if movement.scale and self.scaling == "series":
            problems.append("augment.scale: has no effect with scaling: series, which undoes it; leave one out.")
        if movement.crop and self.flatten and (joints is None or joints.frames is None):
            problems.append(
                "augment.crop: with flatten every series has as many steps; leave it out, or set joints.frames."
            )
        return problems

    def _unread(self) -> list[str]:
        """Options on numbers where there are sounds or films, a sentence each."""
        problems = []
        for name in ("frames", "joints", "augment"):
            if self.sound is not None and getattr(self, name) is not None:
                problems.append(f"{name}: has no effect with sound; leave it out.")
        if self.frames is not None and self.joints is not None:
            problems.append("joints: has no effect with frames, whose numbers are pixels; leave it out.")
        if self.frames is not None and len(self.columns) > 1:
            problems.append("values: with frames it is one column, of films; expected its name alone.")
        if self.frames is not None and self.missing != "refuse":
            problems.append("missing: has no effect with frames, where no number is missing; leave it out.")
        return problems

    @property
    def film(self) -> Frames | None:
        """Which frames of films are read."""
        made: Frames | None = None if self.frames is None else build(self.frames, FRAMES)
        return made

    @property
    def skeleton(self) -> Skeleton | None:
        """What is made of joints; None where numbers are none."""
        made: Skeleton | None = None if self.joints is None else build(self.joints, JOINTS)
        return made

    @property
    def augmentation(self) -> Movement | None:
        """What is drawn for each series in each epoch."""
        made: Movement | None = None if self.augment is None else build(self.augment, AUGMENTATIONS)
        return made

    @property
    def kind(self) -> LabelKind:
        return OneLabel() if self.labels == "one" else ManyLabels(self.separator or ",")

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (*self.columns, self.label)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return label_sizes(self, self.least_features, 2)

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return with_joints(suggested(rows, file, label_among, wanted="a label"))

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def wanted(self, record: Record) -> tuple[Any, str, tuple[str, ...]]:
        """The label or labels of a record, what a split keeps of them in proportion, and as the file has them."""
        gold, spelt = self.kind.read(field(record, self.label), record.origin)
        return gold, sys.intern("\n".join(sorted(self.kind.names([gold])))), spelt

    def fit(self, records: Sequence[Record], source: str) -> SeriesClassification:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[AnyRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[SeriesClassification, Iterator[AnyExample]]:
        """Scales and labels from training rows, and these as examples.

        Raises DataError if there is nothing to learn, and for series of other numbers of features than the first.
        """
        golds: Counter[Any] = Counter()
        spelt: dict[str, None] = {}
        for row in rows:
            golds[row.gold] += 1
            spelt.update(dict.fromkeys(row.spelt))
        labels = label_set(self.kind, golds, source)
        reader, weights = self.reader_of(rows, source), class_weights(self, labels, golds)
        task = SeriesClassification(self, reader, labels, weights, spellings(spelt))
        return task, task.training_examples(means.encoding(rows))

    def restore(self, data: Mapping[str, Any], origin: str) -> SeriesClassification:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, (labels, weights, temperature) = SeriesReader.from_json(data["reader"]), labels_from_json(data)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise RunError(f"{origin}: expected scales and labels of series: {str(error)[:300]}.") from error
        return SeriesClassification(self, reader, labels, weights, temperature=temperature)
