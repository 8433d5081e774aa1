"""Classification of series: numbers, step by step, to a label or labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.answers import SeriesLabel, SeriesLabels
from recurra.base.contracts import Batch, Origin, Record, Table
from recurra.base.digest import digest_of
from recurra.data.sound import silence
from recurra.metrics import Compared
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.label_task import LabelTask
from recurra.tasks.mistakes import mistaken
from recurra.tasks.series_classification.baselines import compared
from recurra.tasks.series_classification.explain import explained
from recurra.tasks.series_classification.reader import Raw, SeriesReader, raw_series
from recurra.tasks.series_classification.sounds import SoundExample, SoundRow, read_sound
from recurra.tasks.series_classification.streaming import StreamingPredictor

if TYPE_CHECKING:
    from recurra.tasks.series_classification.config import SeriesClassificationConfig

NOTE = "no steps"


@dataclass(frozen=True, slots=True)
class SeriesExample:
    """A series as the model reads it, (T, F) float32, and what it should be: None where nobody knows.

    all_steps: how many it has without the limit
    """

    values: NDArray[np.float32]
    gold: Any
    origin: Origin
    all_steps: int

    @property
    def length(self) -> int:
        return len(self.values)

    @property
    def key(self) -> str:
        return digest_of(self.values).hex()

    def digest(self) -> bytes:
        return digest_of(self.values, self.gold)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.length


AnyExample: TypeAlias = SeriesExample | SoundExample


class Readable(Protocol):
    """Numbers of a row with what they should be."""

    @property
    def raw(self) -> Raw: ...
    @property
    def gold(self) -> Any: ...
    @property
    def origin(self) -> Origin: ...


def example_of(reader: SeriesReader, row: Readable) -> AnyExample:
    """A row as an example. Raises DataError for another number of features than in training."""
    if isinstance(row, SoundRow):
        return SoundExample(row.sound, row.spectrum, reader, row.gold)
    return SeriesExample(reader.ready(row.raw, row.origin), row.gold, row.origin, len(row.raw))


class SeriesClassification(LabelTask):
    """Five verbs between the data and the model: example, collate, loss, predict, score."""

    input_key: ClassVar[str] = ""

    def __init__(
        self,
        plan: SeriesClassificationConfig,
        reader: SeriesReader,
        labels: tuple[str, ...],
        weights: torch.Tensor | None,
        merged: str = "",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(plan, labels, weights, merged, temperature)
        self.plan = plan
        self.reader = reader

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: numbers of a step, number of labels."""
        return {"features": self.reader.width, "labels": len(self.labels)}

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """Two steps of zeros; of sounds, a second of silence."""
        if (spectrum := self.plan.spectrum) is not None:
            return {self.plan.columns[0]: silence(spectrum.rate, spectrum.rate)}
        step = [0.0] * (self.reader.num_features if len(self.plan.columns) == 1 else 1)
        return {name: [step, step] for name in self.plan.columns}

    @property
    def decodes(self) -> bool:
        """Sounds are decoded when a batch is made."""
        return self.plan.sound is not None

    # -- the verbs that read ----------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> AnyExample:
        """Read a record; without `gold` the label column may be missing, and the series may have no step.

        Raises DataError, with file, line and step, for what is no number, or a label that is not there.
        """
        if gold:
            return example_of(self.reader, self.plan.read(record))
        if (spectrum := self.plan.spectrum) is not None:
            sound = read_sound(record, self.plan.columns[0], spectrum, blank=True)
            return SoundExample(sound, spectrum, self.reader, None)
        raw = raw_series(record, self.plan.columns, self.plan.missing)
        if not len(raw):  # of no steps nobody can tell how many numbers each has
            raw = np.zeros((0, self.reader.num_features), np.float32)
        return SeriesExample(self.reader.ready(raw, record.origin), None, record.origin, len(raw))

    def examples(self, rows: Iterable[Readable]) -> Iterator[AnyExample]:
        """Rows as examples, one by one."""
        return (example_of(self.reader, row) for row in rows)

    def sampler(
        self, examples: Sequence[AnyExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[AnyExample], indices: Sequence[int]) -> Batch:
        """features (T, N, F), zero where padded; targets where all are known: (N,) classes, or (N, C).

        Raises DataError for a label that training never saw.
        """
        lengths = torch.tensor([e.length for e in examples], dtype=torch.int64)
        T = int(lengths.max()) if len(examples) else 0
        features = np.zeros((T, len(examples), self.reader.width), np.float32)
        for n, e in enumerate(examples):
            if e.length:
                features[: e.length, n] = e.values
        return Batch({"features": torch.from_numpy(features)}, lengths, self.targets(examples), tuple(indices))

    def calibrated(self, outputs: Sequence[Any], examples: Sequence[AnyExample]) -> SeriesClassification:
        """The task with the temperature that fits these outputs of its own best; itself where the config wants none."""
        if self.plan.calibration == "none":
            return self
        found = self.fitted_temperature(outputs, examples)
        return SeriesClassification(self.plan, self.reader, self.labels, self.weights, self._merged, found)

    def input_notes(self, examples: Sequence[AnyExample]) -> tuple[str, ...]:
        """What the axes were taken for, and numbers that are always the same."""
        lengths = [e.all_steps for e in examples]
        few, many = min(lengths), max(lengths)
        steps = f"{few:,} steps" if few == many else f"{few:,} to {many:,} steps"
        spectrum = self.plan.spectrum
        said = "" if spectrum is None else f"train: sounds of {spectrum.rate:,} Hz; {spectrum.said()}."
        same = ", ".join(str(k + 1) for k in self.reader.scaler.constant[:8])
        return (
            said,
            f"train: {len(examples):,} series of {steps}, each with {self.reader.num_features} "
            f"{'number' if self.reader.num_features == 1 else 'numbers'}.",
            f"train: the same number in every step and series: number {same} of each step." if same else "",
        )

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Any], examples: Sequence[AnyExample]) -> tuple[str, ...]:
        """Series without any step."""
        blank = [e for e in examples if e.is_blank]
        if not blank:
            return ()
        have = "has no steps and an empty answer" if len(blank) == 1 else "have no steps and empty answers"
        return (f"{len(blank)} of {len(examples)} series {have}; the first: {blank[0].origin}.",)

    def answer(self, example: AnyExample, output: Any) -> SeriesLabel | SeriesLabels:
        """The label of a series; one without steps has none, and a note."""
        said = self.kind.answer("", None if example.is_blank else output)
        note = NOTE if example.is_blank else None
        steps = example.all_steps
        if self.separator is not None:
            return SeriesLabels(said.labels, said.probabilities, steps, note)  # type: ignore[union-attr]
        return SeriesLabel(said.label, said.score, said.probabilities, steps, note)  # type: ignore[union-attr]

    def predictor(self, model: torch.nn.Module) -> StreamingPredictor:
        """What reads a series piece by piece. Raises ConfigError, with all reasons, for a model that cannot."""
        return StreamingPredictor(self, model)

    def explain(self, model: torch.nn.Module, example: AnyExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        return explained(self, model, example, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Any], examples: Sequence[AnyExample]) -> tuple[Table, ...]:
        """Confusion, most confused pairs, reliability; and the series that got another label."""
        wrong = mistaken(outputs, examples, "series", lambda e: f"{e.all_steps:,} steps")
        return (*self.label_tables(outputs, examples), wrong)

    def baselines(self, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]) -> Compared:
        """What a majority vote, and a random forest on statistics of each series, reach on the same rows."""
        return compared(self, train, splits)

    def facts(self, splits: Mapping[str, Sequence[AnyExample]]) -> dict[str, str | int | float]:
        """Sizes, and what was cut, by split."""
        found: dict[str, str | int | float] = {"labels": len(self.labels), "numbers a step": self.reader.num_features}
        for name, examples in splits.items():
            cut = sum(e.all_steps > e.length for e in examples)
            found[f"{name} series"] = len(examples)
            found[f"{name} steps"] = sum(e.length for e in examples)
            if cut:
                lost = sum(e.all_steps - e.length for e in examples)
                found[f"{name} series cut"] = (
                    f"{cut} of {len(examples)}, {lost} steps (max_length {self.plan.max_length})"
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json(), **self.labels_json()}
