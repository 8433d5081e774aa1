"""Music: which notes sound at each step of a piece, given all steps before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import AnswerKind, Chords
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Record, Score, Table
from recurra.base.digest import digest_of
from recurra.data.midi import midi_of_chords
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.engine import sequence_mask
from recurra.losses import binary_cross_entropy_per_row, fixed_sum
from recurra.metrics import Compared
from recurra.report import HeatMap
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.music.chords import Chord, chords_of, written
from recurra.tasks.music.explain import explained
from recurra.tasks.music.generation import MusicGenerator
from recurra.tasks.music.rolls import rolls
from recurra.tasks.music.scoring import Frequencies, foreseen, music_scores, step_nats

# Steps of a sample in a report.
SAMPLE = 32


@dataclass(frozen=True, slots=True)
class MusicPiece:
    """A piece as its chords: a row, and an example."""

    chords: tuple[Chord, ...]
    origin: Origin

    @property
    def length(self) -> int:
        return len(self.chords)

    @property
    def key(self) -> str:
        return written(self.chords)

    @property
    def stratum(self) -> str:
        """All pieces are of one kind."""
        return ""

    def digest(self) -> bytes:
        return digest_of(self.chords)

    @property
    def is_blank(self) -> bool:
        """Whether it has no step."""
        return not self.chords


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model said of a piece. nats: of each step, summed over its notes; hits, misses: see `music_scores`."""

    nats: tuple[float, ...]
    hits: int
    misses: int


class Music:
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    chords: the column      lowest, highest: MIDI numbers of the notes that can sound
    check: raises DataError for a record with other notes      steps_per_quarter: steps of a quarter note
    """

    answer_kind: ClassVar[AnswerKind] = "chords"
    input_key: ClassVar[str] = "chords"
    use: Literal["generate", "play"] = "play"

    def __init__(
        self,
        chords: str,
        lowest: int,
        highest: int,
        check: Callable[[Record], object],
        *,
        steps_per_quarter: int = 1,
    ) -> None:
        self.chords = chords
        self.steps_per_quarter = steps_per_quarter
        self.lowest = lowest
        self.highest = highest
        self._check = check

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: how many notes can sound."""
        return {"features": self.highest - self.lowest + 1}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> MusicPiece:
        """Read a record; without `gold` it may be empty.

        Raises DataError, with file, line and step, for what is no chord of these notes.
        """
        piece = MusicPiece(chords_of(record, self.chords), record.origin)
        if gold or not piece.is_blank:
            self._check(record)
        return piece

    def examples(self, rows: Iterable[MusicPiece], means: Means = IN_MEMORY) -> Iterable[MusicPiece]:
        """The rows, which are examples already."""
        return rows

    @property
    def example_codec(self) -> Fields[MusicPiece]:
        return Fields(MusicPiece)

    def sampler(
        self, examples: Sequence[MusicPiece], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> BucketSampler:
        """Pieces of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[MusicPiece], indices: Sequence[int]) -> Batch:
        """notes (T, N, notes): the chord before each step, none before the first; targets: the chord of each step."""
        lengths = torch.tensor([e.length for e in examples], dtype=torch.int64)
        T = int(lengths.max()) if len(examples) else 0
        now = torch.zeros(T, len(examples), self.model_sizes["features"], dtype=torch.float32)
        for n, e in enumerate(examples):
            now[: e.length, n] = torch.from_numpy(self._roll(e)).float()
        before = torch.zeros_like(now)
        before[1:] = now[:-1]
        return Batch({"features": before}, lengths, {"notes": now}, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Binary cross-entropy of all notes of a step, in nats; counted in steps."""
        logits = prediction.outputs["logits"]
        real = sequence_mask(batch.lengths.to(logits.device), len(logits))
        nats = binary_cross_entropy_per_row(logits[real], batch.targets["notes"][real])
        return Loss(fixed_sum(nats), len(nats))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[MusicPiece]) -> list[Heard]:
        """How probable each step of each piece is; the model is in eval mode."""
        logits = model(batch).outputs["logits"].double()
        p = torch.sigmoid(logits)
        notes = batch.targets["notes"]
        nats = torch.nn.functional.binary_cross_entropy_with_logits(logits, notes.double(), reduction="none").sum(2)
        found = []
        for n, e in enumerate(examples):
            hits, misses = foreseen(_array(notes[: e.length, n]), _array(p[: e.length, n]))
            found.append(Heard(tuple(nats[: e.length, n].tolist()), hits, misses))
        return found

    def score(self, outputs: Sequence[Heard], examples: Sequence[MusicPiece], split: str) -> tuple[Score, ...]:
        """Nats a step, and frame accuracy."""
        return music_scores(
            [o.nats for o in outputs], [o.hits for o in outputs], [o.misses for o in outputs], split=split
        )

    def filter(self, examples: Sequence[MusicPiece], split: str) -> tuple[Sequence[MusicPiece], tuple[str, ...]]:
        """All of them."""
        return examples, ()

    # -- for predict and generate ----------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Heard], examples: Sequence[MusicPiece]) -> tuple[str, ...]:
        """Pieces without any step; there are no unknown notes."""
        return blank_warnings(examples, ", so that nothing of them is judged")

    def answer(self, example: MusicPiece, output: Heard) -> Chords:
        """How probable a piece is: the log of its probability in nats, and nats a step; a note where it has none."""
        total = math.fsum(output.nats)
        return Chords(
            0.0 - total,  # without anything to judge 0, and not -0
            total / max(len(output.nats), 1),
            len(output.nats),
            written(example.chords),
            NOTE if example.is_blank else None,
        )

    def chances(self, model: torch.nn.Module, piece: MusicPiece, device: torch.device) -> NDArray[np.float64]:
        """(T, notes): how probable each note is at each step of a piece, given all steps before."""
        model.eval()
        with torch.inference_mode():
            logits = model(self.collate([piece], (0,)).to(device)).outputs["logits"][:, 0]
        return _array(torch.sigmoid(logits.double()))

    def writer(self, model: torch.nn.Module) -> MusicGenerator:
        """What goes on with a piece."""
        return MusicGenerator(model, self.lowest, self.highest)

    def midi(self, text: str) -> bytes:
        """A MIDI file of chords as text. Raises DataError for other text, ConfigError where symusic is missing."""
        chords = chords_of(Record({"chords": text}, Origin("text")), "chords")
        return midi_of_chords(chords, steps_per_quarter=self.steps_per_quarter)

    def explain(self, model: torch.nn.Module, example: MusicPiece, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        return explained(self, model, example, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Heard], examples: Sequence[MusicPiece]) -> tuple[Table, ...]:
        """None of its own."""
        return ()

    def pictures(
        self, model: torch.nn.Module, examples: Sequence[MusicPiece], device: torch.device
    ) -> tuple[HeatMap, ...]:
        """The beginning of a piece: how probable each note was at each step."""
        if not examples:
            return ()
        piece = examples[0]
        first = MusicPiece(piece.chords[:SAMPLE], piece.origin)
        rows, _, said = rolls(first.chords, self.chances(model, first, device), self.lowest)
        steps = tuple(str(k + 1) for k in range(first.length))
        title = f"How probable each note was: {piece.origin}"
        return (HeatMap(title, tuple(rows), steps, tuple(map(tuple, said))),)

    def samples(self, model: torch.nn.Module, device: torch.device) -> tuple[Table, ...]:
        """What the model writes from nothing."""
        rows = tuple(
            (f"{t:g}", self.writer(model).sample("", temperature=t, seed=1, length=SAMPLE)) for t in (0.5, 1.0)
        )
        return (Table("Written by the model", ("temperature", "chords"), rows),)

    def baselines(self, train: Sequence[MusicPiece], splits: Mapping[str, Sequence[MusicPiece]]) -> Compared:
        """What it reaches to count each note by itself, and after a step with or without it."""
        rolls = [self._roll(e) for e in train]
        found = {}
        for name, order in (("frequency", 0), ("after itself", 1)):
            counted = Frequencies(rolls, order)
            scores: list[Score] = []
            for split, examples in splits.items():
                pieces = [self._roll(e) for e in examples]
                said = [counted.probabilities(roll) for roll in pieces]
                nats = [step_nats(roll, p).tolist() for roll, p in zip(pieces, said, strict=True)]
                counts = [foreseen(roll, p) for roll, p in zip(pieces, said, strict=True)]
                scores += music_scores(nats, [hit for hit, _ in counts], [miss for _, miss in counts], split=split)
            found[name] = tuple(scores)
        return Compared(found, ())

    def facts(self, splits: Mapping[str, Sequence[MusicPiece]]) -> dict[str, str | int | float]:
        """Sizes by split."""
        found: dict[str, str | int | float] = {"notes": self.model_sizes["features"]}
        for name, examples in splits.items():
            steps = sounding = 0
            for e in examples:
                steps, sounding = steps + e.length, sounding + sum(map(len, e.chords))
            found[f"{name} pieces"] = len(examples)
            found[f"{name} steps"] = steps
            found[f"{name} notes a step"] = round(sounding / max(steps, 1), 2)
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "nats_per_step"

    def possible_scores(self, examples: Sequence[MusicPiece]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model for which every note is a coin."""
        nats = [[self.model_sizes["features"] * math.log(2)] * e.length for e in examples]
        missed = [sum(map(len, e.chords)) for e in examples]
        return music_scores(nats, (0,), missed, split="dev")

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read as in training."""
        return {"lowest": self.lowest, "highest": self.highest}

    # ----------------------------------------------------------------------------------------------------------------

    def _roll(self, piece: MusicPiece) -> NDArray[np.float64]:
        """(T, notes): 1 where a note sounds."""
        roll = np.zeros((piece.length, self.model_sizes["features"]))
        for step, chord in enumerate(piece.chords):
            roll[step, [note - self.lowest for note in chord]] = 1.0
        return roll


def _array(tensor: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.double().cpu().numpy()
    return array
