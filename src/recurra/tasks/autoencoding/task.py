"""An autoencoder: rows to codes and back, by five verbs between the data and the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, Reconstruction
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Record, Score, Table
from recurra.base.errors import ConfigError, DataError
from recurra.config import build
from recurra.data.draws import drawn, key_of
from recurra.data.midi import midi_of_chords
from recurra.data.noise import NOISES
from recurra.data.preparing import IN_MEMORY, Means
from recurra.engine import sequence_mask
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.metrics.reconstruction import reconstruction_scores
from recurra.models.autoencoder import Autoencoder
from recurra.models.latents import Coded
from recurra.models.rebuilding import Rebuilding
from recurra.report import Chart, HeatMap
from recurra.tasks.autoencoding.baselines import compared
from recurra.tasks.autoencoding.bounds import Bound, bound_scores
from recurra.tasks.autoencoding.code_map import code_map
from recurra.tasks.autoencoding.coder import RowCoder
from recurra.tasks.autoencoding.detail import detail_score, scales_of
from recurra.tasks.autoencoding.explain import explained
from recurra.tasks.autoencoding.notes import chords_said, frame_accuracy
from recurra.tasks.autoencoding.series import curves, series_compared, stacked
from recurra.tasks.autoencoding.statistics import Statistics
from recurra.tasks.autoencoding.tables import reconstruction_tables, side_by_side
from recurra.tasks.autoencoding.watching import steps_of_window, watched_series, window_errors
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.contract import WatchedSeries
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.music.chords import chords_of, note_name
from recurra.tasks.series_reader import SeriesReader
from recurra.tasks.series_task import NOTE, AnyExample, Readable, SeriesExample, SeriesTask, in_one

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.config import AutoencodingConfig

Floats = NDArray[np.float32]
# The noise of rows that are scored: always the same.
SCORING = (0, 0)
# A number is there, in all rows.
EVERYWHERE = torch.ones((), dtype=torch.float32)
# What makes numbers 0 or 1 is drawn from numbers of its own.
BINARY = 20


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a model said of a row. values: (T, D) as they are scaled      code: (Z,)

    squared: sum of squared errors of `count` numbers      spread: the same of the mean of the training rows
    nats: what the numbers cost by the likelihood, 0 where there is none      parts: what the code costs, by name
    log_variance: (Z,), of a code that is a distribution
    """

    values: Floats
    code: Floats
    squared: float
    spread: float
    count: int
    nats: float
    parts: Mapping[str, float] = field(default_factory=dict)
    log_variance: Floats | None = None


class Autoencoding(SeriesTask):
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    statistics: of scaled training rows; an output is a `Rebuilt`
    """

    answer_kind: ClassVar[AnswerKind] = "reconstruction"

    def __init__(
        self,
        plan: AutoencodingConfig,
        reader: SeriesReader,
        statistics: Statistics,
        *,
        importance_samples: int | None = None,
    ) -> None:
        super().__init__(plan, reader)
        self.importance_samples = plan.importance_samples if importance_samples is None else importance_samples
        self.statistics = statistics
        self.likelihood = plan.likelihood_of(statistics.categories)
        self.noise = None if plan.noise is None else build(plan.noise, NOISES)

    @property
    def loss_unit(self) -> str:
        """What the loss of a row is measured in."""
        return self.likelihood.unit

    @property
    def width(self) -> int:
        """D, numbers that are said of a step."""
        return len(self.reader.scaler.shift)

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: numbers that it reads and says, and of which size its code is."""
        return {
            "features": self.reader.width,
            "values": self.width,
            "code": self.plan.code_size,
            "row": self.width * self.statistics.steps,
            "noisy": int(self.noise is not None),
            "steps": self.statistics.steps,
            "variational": int(self.plan.variational),
            "parameters": self.likelihood.size,
            "shared": self.likelihood.shared,
        }

    # -- the verbs -------------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> AnyExample:
        """Read a record; without `gold` it is no data, and may have no step.

        Raises DataError, with file, line and step, for what is no number, and for what the likelihood does not allow.
        """
        found = self._binary(super().example(record, gold=gold))
        self.refuse_values(self._clean(found), found.origin)
        return found

    def examples(self, rows: Iterable[Readable], means: Means = IN_MEMORY) -> Iterator[AnyExample]:
        """Rows as examples, one by one."""
        for example in map(self._binary, super().examples(rows, means)):
            self.refuse_values(self._clean(example), example.origin)
            yield example

    def scaled(self, row: Readable) -> Floats:
        """(T, D) of a row, NaN where a number is missing."""
        ready = SeriesExample(self.reader.ready(row.raw, row.origin), row.gold, row.origin, len(row.raw))
        return self._clean(self._binary(ready))

    def _clean(self, example: AnyExample) -> Floats:
        """(T, D), NaN where a number is missing."""
        values, there = self._parted(example)
        return values if there is None else np.where(there > 0, values, np.float32(np.nan))

    def _parted(self, example: AnyExample) -> tuple[Floats, Floats | None]:
        """Numbers (T, D), and 1 where one is there, if some may be missing."""
        D = self.width
        return example.values[:, :D], example.values[:, D:] if self.reader.missing == "mask" else None

    def _binary(self, example: AnyExample) -> AnyExample:
        """The row with its numbers as 0 or 1, where that is wanted."""
        if self.plan.binarize == "none":
            return example
        assert isinstance(example, SeriesExample)
        values, there = self._parted(example)
        chance: Any = 0.5
        if self.plan.binarize == "static":
            key = key_of(self.plan.binarize_seed or 0, 0, np.ascontiguousarray(values).tobytes())
            chance = 1 - drawn(key, values.size, BINARY).reshape(values.shape)
        found = (values >= chance).astype(np.float32)
        return replace(example, values=found if there is None else np.concatenate([found * there, there], 1))

    def refuse_values(self, values: Floats, origin: Origin) -> None:
        """Raise DataError for scaled numbers that the likelihood does not allow."""
        if reason := self.likelihood.refusal(values):
            raise DataError(f"{origin}: {reason}.")

    def sampler(self, examples: Sequence[AnyExample], *, batch_tokens: int, batch_rows: int, seed: int) -> Any:
        """All rows in each epoch; with noise, another one in each."""
        if self.noise is None:
            return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)
        return DrawnSampler(examples, self.noisy, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[AnyExample], indices: Sequence[int]) -> Batch:
        """features (T, N, F), zero where padded; those that are data have the noise that scores are of."""
        return self.noisy(examples, indices, *SCORING)

    def noisy(self, examples: Sequence[AnyExample], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """The same with the noise of an epoch; of no examples, as a rank may have, an empty batch."""
        if not examples:
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        if self.noise is None and self.reader.missing == "refuse":
            return self._whole(examples, indices)
        batch = super().collate(examples, indices)
        if self.noise is None:
            return batch
        features = batch.inputs["features"].numpy()  # the same memory
        for n, example in enumerate(examples):
            if example.gold is not None:
                features[: example.length, n] = self.disturbed(example, seed, epoch)
        return batch

    def _whole(self, examples: Sequence[AnyExample], indices: Sequence[int]) -> Batch:
        """Rows that are read as they should be said, with all of their numbers: one array is both."""
        rows = [example.values for example in examples]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        values = torch.from_numpy(in_one(rows, self.width))
        there = EVERYWHERE.expand_as(values)
        if not bool((lengths == len(values)).all()):
            there = sequence_mask(lengths, len(values)).unsqueeze(2).expand_as(values).float()
        return Batch({"features": values}, lengths, {"values": values, "there": there}, tuple(indices))

    def disturbed(self, example: AnyExample, seed: int, epoch: int) -> Floats:
        """(T, F) what a model reads of a row, with the noise of an epoch."""
        assert self.noise is not None
        values, there = self._parted(example)
        key = key_of(seed, epoch, np.ascontiguousarray(example.values).tobytes())
        found: Floats
        found, hidden = self.noise(values, key, self.statistics.ends)
        if there is None:
            return found
        marks = np.where(hidden, np.float32(0), there)
        return np.concatenate([found * (there > 0), marks], 1)

    def targets(self, examples: Sequence[AnyExample]) -> dict[str, torch.Tensor]:
        """values, what should be said, and there, 1 for what counts, neither padding nor missing; both (T, N, D)."""
        parts = [self._parted(example) for example in examples]
        values = in_one([numbers for numbers, _ in parts], self.width)
        if all(there is None and len(numbers) == len(values) for numbers, there in parts):
            marks = np.ones_like(values)
        else:
            each = (np.ones_like(numbers) if there is None else there for numbers, there in parts)
            marks = in_one(list(each), self.width)
        return {"values": torch.from_numpy(values), "there": torch.from_numpy(marks)}

    def costs(self, numbers: Tensor, batch: Batch) -> Tensor:
        """(N,) what was said of each row costs: nats of all numbers, or their mean squared error."""
        values, there = batch.targets["values"], batch.targets["there"]
        each = self.likelihood.cost(numbers, values)
        if any(there.stride()) and not (
            there.is_cpu and bool(there.all())
        ):  # a mask costs as much as a sixth of a step of feed-forward layers
            each = torch.where(there > 0, each, 0.0)
        each = each.sum((0, 2))
        return each if self.likelihood.is_density else each / there.sum((0, 2)).clamp(min=1)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """What rows cost, with what their codes cost."""
        said = prediction.outputs
        each = self.costs(said["numbers"], batch)
        parts = {name.removeprefix("part."): part for name, part in said.items() if name.startswith("part.")}
        parts = {"reconstruction": each, **parts} if "cost" in said else {}
        total = each + said["cost"] if "cost" in said else each
        return Loss(fixed_sum(total), len(each), {name: fixed_sum(part.detach()) for name, part in parts.items()})

    def predict(self, model: Any, batch: Batch, examples: Sequence[Any]) -> list[Rebuilt]:
        """What was said of each row, as it is scaled; the model is in eval mode.

        A decoder that reads back reads what it says itself; a likelihood is that of true steps before each.
        """
        coded = model.code(batch)
        lengths = batch.lengths.to(coded.best.device)
        mean = self.likelihood.mean
        numbers = model.decode(coded.best, lengths, mean=mean)
        if self.plan.variational:
            return self._bounded(model, batch, examples, coded, numbers)
        if not self.likelihood.is_density:
            nats = torch.zeros(len(examples), dtype=torch.float32)
        else:
            forced = model.reads_back
            said = model.decode(coded.best, lengths, batch.targets["values"]) if forced else numbers
            nats = self.costs(said, batch)
        return self.rebuilt(mean(numbers), coded.best, nats, batch)

    def _bounded(
        self, model: Any, batch: Batch, examples: Sequence[Any], coded: Coded, numbers: Tensor
    ) -> list[Rebuilt]:
        """The same with bounds on the likelihood, from codes that are drawn by the row; values are of the mean code."""
        values = batch.targets["values"]
        lengths = batch.lengths.to(values.device)
        keys = [key_of(*SCORING, np.ascontiguousarray(e.values).tobytes()) for e in examples]
        assert coded.mean is not None
        assert coded.log_variance is not None
        bound = Bound(
            coded.mean,
            coded.log_variance,
            lambda codes: self.costs(model.decode(codes, lengths, values), batch),
            keys,
        )
        nats, parts = bound.drawn(0), {"kl": coded.parts["kl"]}
        if self.importance_samples:
            parts["nll"] = bound.nll(self.importance_samples)
        found = self.rebuilt(self.likelihood.mean(numbers), coded.best, nats, batch)
        each = {name: part.double().tolist() for name, part in parts.items()}
        spread = coded.log_variance.cpu().numpy()
        return [
            replace(one, parts={name: part[n] for name, part in each.items()}, log_variance=spread[n])
            for n, one in enumerate(found)
        ]

    @property
    def for_validation(self) -> Autoencoding:
        """Without importance samples."""
        return Autoencoding(self.plan, self.reader, self.statistics, importance_samples=0)

    def rebuilt(self, mean: Tensor, codes: Tensor, nats: Tensor, batch: Batch) -> list[Rebuilt]:
        """Outputs from means (T, N, D), codes (N, Z) and nats (N,)."""
        values, there = batch.targets["values"].double(), batch.targets["there"].double()
        real = sequence_mask(batch.lengths.to(mean.device), len(mean)).unsqueeze(2)
        said = torch.where(real, mean, 0.0)
        centre = torch.from_numpy(self.statistics.mean).to(values.device)
        squared = (((said.double() - values) ** 2) * there).sum((0, 2))
        spread = (((centre - values) ** 2) * there).sum((0, 2))
        sums = torch.stack([squared, spread, there.sum((0, 2)), nats.double()]).T.tolist()
        numbers, found = said.transpose(0, 1).cpu().numpy(), codes.cpu().numpy()
        return [
            Rebuilt(numbers[n, :length], found[n], one[0], one[1], int(one[2]), one[3])
            for n, (length, one) in enumerate(zip(batch.lengths.tolist(), sums, strict=True))
        ]

    def score(self, outputs: Sequence[Rebuilt], examples: Sequence[AnyExample], split: str) -> tuple[Score, ...]:
        """All scores of one split, in the order of `metrics.reconstruction`."""
        sums = np.array([[one.squared, one.spread, one.count, one.nats] for one in outputs]).sum(0)
        low, high = self.statistics.ends
        found = reconstruction_scores(sums[0], sums[1], int(sums[2]), high - low, split)
        if self.plan.notes is not None and examples:
            share = frame_accuracy(self.rows(examples), [one.values for one in outputs])
            found = (*found, Score("frame_accuracy", share, "0..1", "higher", split))
        found = (*found, *detail_score(scales_of(self, outputs, examples)[0], split))
        if not self.likelihood.is_density:
            return found
        nats = sums[3] / len(outputs)
        found = (*found, Score("nats", nats, "nats", "lower", split))
        return (*bound_scores(nats, outputs, split), *found) if self.plan.variational else found

    def of_arrays(self, truth: Sequence[Any], said: Sequence[Any], numbers: Any = None) -> list[Rebuilt]:
        """Outputs of something that has no code, beside rows, (T, D) or (D,) each, NaN where a number is missing.

        numbers: (D, P) that say the same of every row, for the likelihood
        """
        rows = stacked(truth)
        lengths = torch.tensor([len(np.atleast_2d(row)) for row in truth], dtype=torch.int64)
        real = sequence_mask(lengths, len(rows)).unsqueeze(2)
        there = (real & torch.from_numpy(~np.isnan(rows))).float()
        values = torch.from_numpy(np.nan_to_num(rows)).float()
        batch = Batch({}, lengths, {"values": values, "there": there}, ())
        nats = torch.full((len(truth),), float("nan"), dtype=torch.float32)
        if numbers is not None and self.likelihood.is_density:
            nats = self.costs(torch.from_numpy(numbers).float().expand(*rows.shape[:2], -1, -1), batch)
        mean = torch.from_numpy(stacked(said).astype(np.float32))
        return self.rebuilt(mean, torch.zeros(len(truth), 0, dtype=torch.float32), nats, batch)

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "elbo" if self.plan.variational else "nats" if self.likelihood.is_density else "mse"

    def possible_scores(self, examples: Sequence[AnyExample]) -> tuple[Score, ...]:
        """The scores that these rows can have, with those of the mean of the training rows."""
        truth = self.rows(examples)
        constant = self.likelihood.constant(self.statistics.mean, self.statistics.deviation)
        said = [np.tile(self.statistics.mean, (len(row), 1)) for row in truth]
        return self.score(self.of_arrays(truth, said, constant), examples, "dev")

    def rows(self, examples: Sequence[AnyExample]) -> list[Floats]:
        """(T, D) of each, NaN where a number is missing."""
        return [self._clean(example) for example in examples]

    def matrix(self, examples: Sequence[AnyExample]) -> Floats:
        """(N, D) of rows that are one vector, NaN where a number is missing."""
        return np.concatenate(self.rows(examples))

    def read_rows(self, examples: Sequence[AnyExample]) -> list[Floats]:
        """(T, D) of each as a model reads it where it is scored: with noise, NaN where a number is hidden."""
        return self.rows(examples) if self.noise is None else [self._read(example) for example in examples]

    def read_matrix(self, examples: Sequence[AnyExample]) -> Floats:
        """(N, D) of the same, of rows that are one vector."""
        return np.concatenate(self.read_rows(examples))

    def _read(self, example: AnyExample) -> Floats:
        assert self.noise is not None
        key = key_of(*SCORING, np.ascontiguousarray(example.values).tobytes())
        found, hidden = self.noise(self._clean(example), key, self.statistics.ends)
        return np.where(hidden, np.float32(np.nan), found)

    def filter(self, examples: Sequence[AnyExample], split: str) -> tuple[Sequence[AnyExample], tuple[str, ...]]:
        """All of them; of training rows with what was read."""
        return examples, tuple(filter(None, self.series_notes(examples))) if split == "train" else ()

    # -- for predict -----------------------------------------------------------------------------------------------

    def answer(self, example: AnyExample, output: Rebuilt) -> Reconstruction:
        """The row, said again in the units of the data; one without steps has none, and a note."""
        if example.is_blank:
            return Reconstruction({}, None, example.all_steps, NOTE)
        error = output.squared / output.count if output.count else None
        return Reconstruction(self.by_column(output.values), error, example.all_steps)

    def by_column(self, values: Floats) -> dict[str, Any]:
        """Scaled numbers (T, D) in the units of the data, by column as a record has them."""
        return self.shaped(self.in_units(values))

    def in_units(self, values: Floats) -> NDArray[np.float64]:
        """Scaled numbers (T, D) in the units of the data, with the steps and features that a record has."""
        scaler = self.reader.scaler
        found: NDArray[np.float64] = values.astype(np.float64) * scaler.scale + scaler.shift
        return found.reshape(-1, self.reader.num_features)

    def shaped(self, numbers: NDArray[np.float64]) -> dict[str, Any]:
        """Numbers of a record (steps, features) by column, as it has them."""
        columns = self.plan.columns
        if self.plan.notes is not None:
            return {columns[0]: chords_said(numbers, self.plan.notes[0])}
        each = [numbers] if len(columns) == 1 else list(numbers.T[:, :, None])
        return {name: _plain(one) for name, one in zip(columns, each, strict=True)}

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """Two steps, or as many as one vector needs: of the lowest note, or of zeros."""
        if self.plan.notes is None:
            return super().trial_fields
        return {self.plan.columns[0]: [[self.plan.notes[0]]] * (self.reader.steps or 2)}

    def feature_names(self) -> tuple[str, ...]:
        """What the numbers of a step are called; notes have names."""
        if self.plan.notes is None or self.reader.steps is not None:
            return super().feature_names()
        return tuple(map(note_name, range(self.plan.notes[0], self.plan.notes[1] + 1)))

    def midi(self, text: str) -> bytes:
        """A MIDI file of chords as text. Raises ConfigError for a run of numbers, DataError for other text."""
        if self.plan.notes is None:
            raise ConfigError("midi: rows of this run are numbers, and no chords (task.notes).")
        chords = chords_of(Record({"chords": text}, Origin("text")), "chords")
        return midi_of_chords(chords, steps_per_quarter=self.plan.steps_per_quarter or 1)

    def coder(self, model: torch.nn.Module, device: torch.device) -> RowCoder:
        """What turns rows into codes and back."""
        return RowCoder(self, model, device)

    def code_writer(self, model: torch.nn.Module, device: torch.device) -> RowCoder:
        """What makes rows from codes."""
        return self.coder(model, device)

    def explain(self, model: torch.nn.Module, example: AnyExample, device: torch.device) -> ExplanationTarget:
        """What `inspect` shows: errors by number, and how far each number of the code reaches."""
        return explained(self, model, example, device)

    def streamed(self, outputs: Mapping[str, torch.Tensor] | None) -> dict[str, Any]:
        """Never asked for: `predictor` refuses before."""
        raise ConfigError("a code stands for the whole row, so nothing is said of a part of it.")

    # -- for detect ------------------------------------------------------------------------------------------------

    @property
    def judged(self) -> tuple[int, int]:
        """A window is judged from its first step on, and is as long as rows of training."""
        return 0, steps_of_window(self)

    @property
    def whole(self) -> bool:
        """A code stands for a whole window."""
        return True

    def watched(self, record: Record, label: str | None = None) -> WatchedSeries:
        """A record as a series to search for what is unusual."""
        return watched_series(self, record, label)

    def step_errors(
        self, model: torch.nn.Module, series: WatchedSeries, starts: NDArray[np.int64], device: torch.device
    ) -> NDArray[np.float64]:
        """(N, steps, F) how far off what is said of windows is."""
        return window_errors(self, model, series, starts, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def charts(self, outputs: Sequence[Rebuilt], examples: Sequence[AnyExample]) -> tuple[Chart, ...]:
        """Where codes lie; and some rows of several steps, with what is said of them."""
        shown = curves(self, outputs, examples) if self.statistics.steps > 1 else ()
        return (*code_map(outputs, examples), *shown)

    def tables(self, outputs: Sequence[Rebuilt], examples: Sequence[AnyExample]) -> tuple[Table, ...]:
        """What the scores are, and the worst rows."""
        return reconstruction_tables(self, outputs, examples)

    def pictures(
        self, model: torch.nn.Module, examples: Sequence[AnyExample], device: torch.device
    ) -> tuple[HeatMap, ...]:
        """Some rows beside what is said of them; of several steps they are curves."""
        if self.statistics.steps > 1:
            return ()
        return side_by_side(self, model, examples, device)

    def baselines(self, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]) -> Compared:
        """What the mean, and principal components with as many numbers as the code, reach."""
        return (series_compared if self.statistics.steps > 1 else compared)(self, train, splits)

    def facts(self, splits: Mapping[str, Sequence[AnyExample]]) -> dict[str, str | int | float]:
        """Sizes of rows and of codes."""
        row = self.width * self.statistics.steps
        return {"numbers of a row": row, "numbers of a code": self.plan.code_size, **self.size_facts(splits)}

    def for_export(self, model: torch.nn.Module) -> Rebuilding:
        """Codes and what is expected of each number, as they are scaled."""
        assert isinstance(model, Autoencoder)
        return Rebuilding(model, self.likelihood)

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json(), "statistics": self.statistics.to_json()}


def _plain(numbers: NDArray[np.float64]) -> Any:
    """(T, F) as a file would have it: a number, a list of them, or a list of lists."""
    if numbers.shape == (1, 1):
        return float(numbers[0, 0])
    return numbers[:, 0].tolist() if numbers.shape[1] == 1 else numbers.tolist()
