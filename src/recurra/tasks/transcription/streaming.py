"""Speech that comes piece by piece: what was heard is kept as the network's state, and never read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.answers import as_dict
from recurra.base.contracts import Batch, Origin
from recurra.base.errors import ConfigError, DataError
from recurra.base.transcripts import SpokenWord
from recurra.data.fields import numbers_of
from recurra.data.sound import pcm
from recurra.data.spectra.contract import Samples
from recurra.decode.ctc import Emitted
from recurra.models import SequenceModel
from recurra.tasks.series_streaming import cannot_hear
from recurra.tasks.transcription.methods import Path
from recurra.tasks.transcription.reading import SILENCE

if TYPE_CHECKING:
    from recurra.tasks.transcription.task import Transcription

Floats = NDArray[np.float32]
# Seconds in which nothing is said, behind something: then what was said is final. Without such a pause it is final
# after so many, up to the last unit that ends before.
PAUSE, LONGEST = 0.8, 30.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What one stretch of speech says. start, end: seconds"""

    text: str
    start: float
    end: float
    words: tuple[SpokenWord, ...]


@dataclass(frozen=True, slots=True)
class SpeechState:
    """How far a recording has been heard. network: its states      counted: what `running` scales have counted

    samples, frames: those that make no whole frame, or step, yet      path: what was said since the last pause, from
    step `first` on      final: stretches that were said before, as JSON has them, but for those that were taken;
    settled: the text of all of them
    """

    counted: NDArray[np.float64]
    path: Path
    network: Mapping[str, Tensor] = field(default_factory=dict)
    samples: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    frames: Floats | None = None
    first: int = 0
    final: tuple[Mapping[str, Any], ...] = ()
    settled: str = ""
    seconds: float = 0.0
    loudest: float = 0.0


class SpeechPredictor:
    """A model of speech that says after each piece what it would say of all of it so far, bit for bit.

    With a beam a place is gone on from once: the search is not copied. What it has said of all pieces in the end is
    what it says of the whole, unless it was at odds about what was said `LONGEST` seconds before.
    Raises ConfigError, with all reasons, for a model that needs the end of a recording first.
    """

    def __init__(self, task: Transcription, model: torch.nn.Module, *, rate_told: bool = False) -> None:
        """rate_told: whoever gives samples knows their rate, gives them at that of the task, and says when they end"""
        if not isinstance(model, SequenceModel):
            raise ConfigError(f"model: {type(model).__name__} carries no state from piece to piece.")
        if problems := [*model.cannot_stream(waiting=rate_told), *_cannot(task, rate_told=rate_told)]:
            raise ConfigError(problems)
        self._task, self._model, self._spectrum = task, model, task.spectrum
        self._listener = task.method.listener(model, task.decoding)
        self._pause = max(1, round(PAUSE / task.reader.seconds))
        self._longest = max(self._pause + 1, round(LONGEST / task.reader.seconds))

    @property
    def waits(self) -> float:
        """Seconds of sound that a step waits for, at most, before anything is said of it."""
        return self._model.waits * self._task.reader.seconds

    def begin(self) -> SpeechState:
        """Before the first piece."""
        return SpeechState(self._task.reader.beginning(), self._listener.begin())

    def read(self, place: SpeechState, piece: str) -> tuple[SpeechState, dict[str, Any]]:
        """The place after a piece, and what has been said so far.

        piece: base64 of samples of one channel, 16 bits, little-endian; of features lists as in a file
        Raises DataError for what is neither.
        """
        after = self.hear(place, pcm(piece)) if self._spectrum is not None else self._see(place, piece)
        return after, self.said(after)

    def hear(self, place: SpeechState, samples: Samples) -> SpeechState:
        """The place after some more samples (S,), in -1..1."""
        spectrum = self._spectrum
        if spectrum is None:
            raise ConfigError("task.sound: is null, so this run hears no samples; give it features.")
        loudest = max(place.loudest, float(np.abs(samples).max(initial=0.0)))
        seconds = place.seconds + len(samples) / spectrum.rate
        waiting = np.concatenate([place.samples, samples])
        frames = spectrum.frames(len(waiting))
        raw = spectrum(waiting)
        place = replace(place, samples=waiting[frames * spectrum.step :], seconds=seconds, loudest=loudest)
        return self._framed(place, raw)

    def _see(self, place: SpeechState, piece: str) -> SpeechState:
        raw = numbers_of(piece, Origin("piece"), self._task.plan.audio).astype(np.float32)
        if len(raw) and raw.shape[1] != self._task.reader.width:
            raise DataError(f"piece: has {raw.shape[1]} numbers a frame, training data had {self._task.reader.width}.")
        seconds = place.seconds + len(raw) * self._task.reader.step_seconds
        return self._framed(replace(place, seconds=seconds, loudest=1.0), raw)

    def _framed(self, place: SpeechState, raw: Floats) -> SpeechState:
        """The place after some more frames (F, width)."""
        if not len(raw):
            return place
        reader, counted = self._task.reader, place.counted
        if reader.scaling == "running":
            scaled, counted = reader.running(raw, counted)
        else:
            scaled = reader.scaled(raw)
        frames = scaled.astype(np.float32)
        if place.frames is not None:
            frames = np.concatenate([place.frames, frames])
        steps = reader.whole(len(frames))
        place = replace(place, counted=counted, frames=frames[steps * reader.stack :])
        return self._fed(place, reader.stacked(frames[: steps * reader.stack])) if steps else place

    def _fed(self, place: SpeechState, values: Floats, *, last: bool = False) -> SpeechState:
        device = next(self._model.parameters()).device
        lengths = torch.tensor([len(values)], dtype=torch.int64)
        inputs = {"features": torch.from_numpy(values).unsqueeze(1).to(device), **place.network}
        with torch.inference_mode():
            outputs, network = self._model.advance(Batch(inputs, lengths, {}, ()), last=last)
            place = replace(place, network=network)
            for part in self._listener.parts(outputs):
                place = self._rested(replace(place, path=self._listener.grown(place.path, part)))
        return place

    def _rested(self, place: SpeechState) -> SpeechState:
        """What stands before a pause becomes final; silence before anything is said is forgotten.

        A search keeps it until all texts that it follows say the same there, or until as much again has come.
        """
        while (cut := _end_in(place.path, self._pause, self._longest)) is not None:
            if not place.path.certain(cut) and len(place.path.blank) < 2 * self._longest:
                break
            place = self._settled(place, cut)
        return place

    def _settled(self, place: SpeechState, cut: int) -> SpeechState:
        """The same with what the first `cut` steps say as final."""
        before, after = place.path.cut(cut)
        said = before.said()
        return replace(
            place,
            path=after,
            first=place.first + cut,
            final=(*place.final, *self._stretches(said, place.first)),
            settled=_continued(place.settled, self._task.units.spelled(said.units)),
        )

    def _stretches(self, said: Emitted, first: int) -> tuple[Mapping[str, Any], ...]:
        """What was said as one stretch; none where that is nothing but spaces."""
        text = self._task.units.text(said.units)
        if not text:
            return ()
        seconds = self._task.reader.seconds
        moved = replace(said, starts=tuple(s + first for s in said.starts), ends=tuple(e + first for e in said.ends))
        words = self._task.units.words(moved, seconds)
        start, end = round(moved.starts[0] * seconds, 3), round(moved.ends[-1] * seconds, 3)
        return (as_dict(Heard(text, start, end, words)),)

    def said(self, place: SpeechState) -> dict[str, Any]:
        """output: all that was said; final: stretches before pauses; partial: what may still change."""
        now = self._task.units.spelled(place.path.units())
        quiet = place.loudest <= SILENCE
        return {
            "output": "" if quiet else _continued(place.settled, now).rstrip(" "),
            "final": [] if quiet else list(place.final),
            "partial": "" if quiet else " ".join(now.split()),
            "seconds": round(place.seconds, 3),
        }

    def taken(self, place: SpeechState) -> tuple[SpeechState, dict[str, Any]]:
        """The place without what is final, which is not kept any longer, and the same without `output`.

        So what an hour of speech takes, of memory and of time, is what the stretch that is not over takes.
        """
        said = self.said(replace(place, settled=""))
        del said["output"]
        return replace(place, final=(), settled="") if said["final"] else place, said

    def ended(self, place: SpeechState) -> SpeechState:
        """The place once nothing more comes: all is final."""
        if place.network and self._model.waits:
            # What waits for later steps is said without them.
            place = self._fed(place, np.zeros((0, self._task.reader.size), np.float32), last=True)
        place = self._rested(replace(place, path=place.path.ended()))
        return self._settled(place, len(place.path.blank))


def _continued(text: str, spelt: str) -> str:
    """A text in normal form with more of it; a space at its end is kept, as the next word may stand behind it."""
    words = " ".join(spelt.split())
    gap = " " if text and spelt[:1].isspace() and not text.endswith(" ") else ""
    return text + gap + words + (" " if words and spelt[-1].isspace() else "")


def _end_in(path: Path, pause: int, longest: int) -> int | None:
    """The steps that are final: up to a pause, or as many as a stretch may have; None where it is not over.

    It is looked for in the first `longest` steps alone, so that it does not depend on the sizes of pieces.
    """
    blank = path.blank
    found = _pause_in(blank[:longest], pause)
    if found is not None or len(blank) < longest:
        return found
    edges = path.edges
    behind = edges[(edges <= longest) & blank[edges - 1]]
    before = edges[edges <= longest]
    for some in (behind[-1:], before[-1:], edges[:1]):
        if len(some):
            return int(some[0])
    return None


def _pause_in(blank: NDArray[np.bool_], pause: int) -> int | None:
    """The first step behind `pause` blanks in a row that stand behind a unit, or at the beginning; None for none."""
    if len(blank) < pause:
        return None
    sums = np.concatenate([[0], np.cumsum(blank)])
    found = np.flatnonzero(sums[pause:] - sums[:-pause] == pause)
    return int(found[0]) + pause if len(found) else None


def _cannot(task: Transcription, *, rate_told: bool) -> list[str]:
    problems = [] if task.spectrum is None else cannot_hear(task.spectrum, rate_told=rate_told)
    if task.reader.scaling in ("utterance", "speaker"):
        problems.append(
            f"task.scaling: {task.reader.scaling} needs the whole recording first; running and training do not."
        )
    if task.reader.deltas:
        problems.append("task.deltas: slopes need frames that come later; leave them out.")
    return problems
