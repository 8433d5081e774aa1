"""What tasks that read series have in common: from records to batches, and what is said of what was read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Batch, Origin, Record
from recurra.base.digest import digest_of
from recurra.data.draws import key_of
from recurra.data.fields import FILM
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.sound import silence
from recurra.data.store import ARRAY, Codec, Fields, maybe
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.contract import BatchSampler
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.series_plan import SeriesPlan
from recurra.tasks.series_reader import Raw, SeriesReader
from recurra.tasks.series_sounds import SoundCodec, SoundExample, SoundRow, read_sound
from recurra.tasks.series_streaming import StreamingPredictor

NOTE = "no steps"


@dataclass(frozen=True, slots=True)
class SeriesExample:
    """A series as the model reads it, (T, F) float32, and what it should be: None where nobody knows.

    all_steps: how many it has without the limit, and before they are one vector
    raw: as the file has it, where training does something to it in each epoch
    """

    values: NDArray[np.float32]
    gold: Any
    origin: Origin
    all_steps: int
    raw: NDArray[np.float32] | None = None

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


def example_of(reader: SeriesReader, row: Readable, *, keep_raw: bool = False) -> AnyExample:
    """A row as an example. Raises DataError for another number of features than in training."""
    if isinstance(row, SoundRow):
        return SoundExample(row.sound, row.spectrum, reader, row.gold)
    raw = row.raw if keep_raw else None
    return SeriesExample(reader.ready(row.raw, row.origin), row.gold, row.origin, len(row.raw), raw)


def in_one(rows: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """(T, N, width) of rows (T, width) each, zero where padded."""
    lengths = [len(row) for row in rows]
    if set(lengths) == {1}:
        return np.concatenate(rows)[None]
    found = np.zeros((max(lengths, default=0), len(rows), width), np.float32)
    for n, row in enumerate(rows):
        if len(row):
            found[: len(row), n] = row
    return found


class SeriesTask(ABC):
    """The verbs that read. A task adds `targets`, and what is said."""

    input_key: ClassVar[str] = ""

    def __init__(self, plan: SeriesPlan, reader: SeriesReader) -> None:
        self.plan: Any = plan
        self.reader = reader

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """Two steps of zeros, or as many as one vector needs; of sounds, a second of silence."""
        if (spectrum := self.plan.spectrum) is not None:
            return {self.plan.columns[0]: silence(spectrum.rate, spectrum.rate)}
        if self.plan.film is not None:
            return {self.plan.columns[0]: [*FILM.smallest]}
        step = [0.0] * (self.reader.num_features if len(self.plan.columns) == 1 else 1)
        return {name: [step] * (self.reader.steps or 2) for name in self.plan.columns}

    @property
    def decodes(self) -> bool:
        """Sounds are decoded when a batch is made."""
        return self.plan.sound is not None

    def example(self, record: Record, *, gold: bool = True) -> AnyExample:
        """Read a record; without `gold` nobody knows the answer, and the series may have no step.

        Raises DataError, with file, line and step, for what is no number, or an answer that is not there.
        """
        if gold:
            return example_of(self.reader, self.plan.read(record))
        if (spectrum := self.plan.spectrum) is not None:
            sound = read_sound(record, self.plan.columns[0], spectrum, blank=True)
            return SoundExample(sound, spectrum, self.reader, None)
        raw = self.plan.raw_of(record)
        if not len(raw):  # of no steps nobody can tell how many numbers each has
            raw = np.zeros((0, self.reader.num_features), np.float32)
        return SeriesExample(self.reader.ready(raw, record.origin), None, record.origin, len(raw))

    def examples(self, rows: Iterable[Readable], means: Means = IN_MEMORY) -> Iterator[AnyExample]:
        """Rows as examples, one by one."""
        return (example_of(self.reader, row) for row in rows)

    @property
    def example_codec(self) -> Codec[Any]:
        """Examples as plain values, and back."""
        if (spectrum := self.plan.spectrum) is None:
            return Fields(SeriesExample, values=ARRAY, raw=maybe(ARRAY))
        return SoundCodec(lambda sound, gold: SoundExample(sound, spectrum, self.reader, gold), "gold")

    def sampler(self, examples: Sequence[AnyExample], *, batch_tokens: int, batch_rows: int, seed: int) -> BatchSampler:
        """Those of like lengths together, with what each epoch does to them."""
        if self.plan.augmentation is not None:
            return DrawnSampler(examples, self.drawn, batch_tokens, batch_rows, seed)
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def drawn(self, examples: Sequence[AnyExample], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """A batch of training, with what is drawn for each series in this epoch."""
        return self.collate([self._moved(one, seed, epoch) for one in examples], indices)

    def _moved(self, example: AnyExample, seed: int, epoch: int) -> AnyExample:
        movement = self.plan.augmentation
        if movement is None or not isinstance(example, SeriesExample) or example.raw is None:
            return example
        key = key_of(seed, epoch, digest_of(example.values))
        raw = movement.raw(example.raw, self.reader.joints, key)
        values = self.reader.ready(raw, example.origin)
        number = values.shape[1] // (1 if self.reader.missing == "refuse" else 2)  # marks of what is there stand behind
        return replace(example, values=movement.read(values, number, key))

    def collate(self, examples: Sequence[AnyExample], indices: Sequence[int]) -> Batch:
        """features (T, N, F), zero where padded; targets where all are known."""
        lengths = torch.tensor([e.length for e in examples], dtype=torch.int64)
        features = in_one([e.values for e in examples], self.reader.width)
        return Batch({"features": torch.from_numpy(features)}, lengths, self.targets(examples), tuple(indices))

    @abstractmethod
    def streamed(self, outputs: Mapping[str, torch.Tensor] | None) -> dict[str, Any]:
        """The answer to a series that came in pieces, as JSON has it, from the model's outputs for one row.

        outputs: None before the first step
        """

    def predictor(self, model: torch.nn.Module) -> StreamingPredictor:
        """What reads a series piece by piece. Raises ConfigError, with all reasons, for a model that cannot."""
        return StreamingPredictor(self, model)

    @abstractmethod
    def targets(self, examples: Sequence[Any]) -> dict[str, torch.Tensor]:
        """What a batch should be, by name; nothing unless all of it is known."""

    def series_notes(self, examples: Sequence[AnyExample]) -> tuple[str, ...]:
        """What the axes were taken for, and numbers that are always the same."""
        lengths = array("q", (e.all_steps for e in examples))
        few, many = min(lengths), max(lengths)
        steps = f"{few:,} steps" if few == many else f"{few:,} to {many:,} steps"
        spectrum = self.plan.spectrum
        said = "" if spectrum is None else f"train: sounds of {spectrum.rate:,} Hz; {spectrum.said()}."
        same = ", ".join(str(k + 1) for k in self.reader.scaler.constant[:8])
        numbers = f"{self.reader.num_features} {'number' if self.reader.num_features == 1 else 'numbers'}"
        whole = "" if self.reader.steps is None else f"; one vector of {self.reader.steps * self.reader.num_features:,}"
        of = "each step" if self.reader.steps is None else "each vector"
        return (
            said,
            f"train: {len(examples):,} series of {steps}, each with {numbers}{whole}.",
            f"train: the same number in every step and series: number {same} of {of}." if same else "",
        )

    def warnings(self, outputs: Sequence[Any], examples: Sequence[AnyExample]) -> tuple[str, ...]:
        """Series without any step."""
        blank = [e for e in examples if e.is_blank]
        if not blank:
            return ()
        have = "has no steps and an empty answer" if len(blank) == 1 else "have no steps and empty answers"
        return (f"{len(blank)} of {len(examples)} series {have}; the first: {blank[0].origin}.",)

    def size_facts(self, splits: Mapping[str, Sequence[AnyExample]]) -> dict[str, str | int | float]:
        """Sizes, and what was cut, by split."""
        found: dict[str, str | int | float] = {"numbers a step": self.reader.num_features}
        for name, examples in splits.items():
            all_read = cut = lost = 0
            for e in examples:
                read = self.reader.num_read(e.all_steps)
                all_read, cut, lost = all_read + read, cut + (e.all_steps > read), lost + e.all_steps - read
            found[f"{name} series"] = len(examples)
            found[f"{name} steps"] = all_read
            if cut:
                found[f"{name} series cut"] = (
                    f"{cut} of {len(examples)}, {lost} steps (max_length {self.plan.max_length})"
                )
        return found

    def feature_names(self) -> tuple[str, ...]:
        """What the numbers of a step are called: the columns, or one column with the number's place."""
        columns, number = self.plan.columns, len(self.reader.scaler.shift)
        if (joints := self.reader.joints) is not None:
            columns = joints.names(self.reader.num_features)
        names = columns if len(columns) == number else tuple(f"{columns[0]} {k}" for k in range(1, number + 1))
        if len(columns) > 1 and self.reader.steps is not None:
            names = tuple(f"{name} {t}" for t in range(1, self.reader.steps + 1) for name in columns)
        return (*names, *(f"{name} is there" for name in names)) if self.reader.missing == "mask" else tuple(names)
