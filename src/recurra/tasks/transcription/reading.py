"""From samples or features to what a model reads: scaled, with their slopes, several frames as one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import DataError
from recurra.data.frame_files import Frames
from recurra.data.scaling import Scaler
from recurra.data.sound import Sound, num_samples, samples_of
from recurra.data.spectra import Spectrum

Floats = NDArray[np.float32]
Scaling = Literal["utterance", "speaker", "training", "running", "none"]
SCALINGS = get_args(Scaling)
Recording = Sound | Frames
# The largest sample of what is taken for silence: -80 dB of full scale, three steps of 16 bits.
SILENCE = 1e-4
# Frames of the training data's mean and deviation with which `running` begins.
PRIOR = 100.0
# Frames on each side of which a slope is fitted (HTK book, section 5.9, with its window of 2).
REACH = 2


@dataclass(frozen=True, slots=True)
class SpeechReader:
    """What a model reads of a recording. width: numbers of a frame      step_seconds: from frame to frame

    deltas: slopes beside the numbers, and slopes of slopes      stack: frames that are one step; a rest is left out
    scaler: means and deviations of the training data, of `training` and `running`      floor: numbers are at least this
    joined: steps of which the model's inputs make one      speakers: of `speaker`, the scales of those of training
    """

    width: int
    step_seconds: float
    scaling: Scaling
    deltas: int
    stack: int
    scaler: Scaler
    floor: float | None = None
    joined: int = 1
    speakers: Mapping[str, Scaler] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Numbers of a step that the model reads."""
        return self.width * (1 + self.deltas) * self.stack

    @property
    def seconds(self) -> float:
        """From one step of the model to the next."""
        return self.step_seconds * self.stack * self.joined

    def steps(self, frames: int) -> int:
        """Steps that the model reads, of so many frames."""
        return frames // self.stack

    def whole(self, frames: int) -> int:
        """The same of a piece: those that the model's inputs make whole steps of."""
        return self.steps(frames) // self.joined * self.joined

    def ready(self, raw: Floats, hidden: NDArray[np.bool_] | None = None, speaker: str = "") -> Floats:
        """(T, size) of frames (F, width). hidden: (F, width) numbers that training does not see; 0, as the mean is"""
        x = self.scaled(raw, speaker)
        if hidden is not None:
            x = np.where(hidden, 0.0, x)
        return self.stacked(with_deltas(x, self.deltas).astype(np.float32))

    def stacked(self, x: Floats) -> Floats:
        """(T, size) of frames (F, numbers)."""
        T = self.steps(len(x))
        return x[: T * self.stack].reshape(T, x.shape[1] * self.stack)

    def scaled(self, raw: Floats, speaker: str = "") -> NDArray[np.float64]:
        """(F, width): by the recording itself, by all that came before in it, or by the training data.

        By all training recordings of a speaker too; of one that training never had, by the recording itself.
        """
        raw = floored(raw, self.floor)
        if self.scaling == "running":
            return self.running(raw, self.beginning())[0]
        if self.scaling == "speaker" and speaker in self.speakers:
            return self.speakers[speaker](raw)
        if self.scaling in ("utterance", "speaker"):
            return Scaler("series", self.scaler.shift, self.scaler.scale)(raw) if len(raw) else raw.astype(np.float64)
        return self.scaler(raw)

    def beginning(self) -> NDArray[np.float64]:
        """(3, width): what `running` has counted before the first frame: frames, their sum, their squares."""
        mean, square = self.scaler.shift, self.scaler.scale**2 + self.scaler.shift**2
        return PRIOR * np.stack([np.ones(self.width), mean, square])

    def running(self, raw: Floats, before: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(F, width) by the mean and deviation of all frames up to each, itself among them; and what is counted after.

        Sums go from frame to frame, so that pieces of a recording have the bits of the whole.
        """
        x = floored(raw, self.floor).astype(np.float64)
        each = np.stack([np.ones_like(x), x, x * x], 1)
        sums = np.cumsum(np.concatenate([before[None], each]), 0)[1:]
        mean = sums[:, 1] / sums[:, 0]
        spread = np.sqrt(np.maximum(sums[:, 2] / sums[:, 0] - mean * mean, 0.0))
        found = (x - mean) / np.where(spread > 1e-6, spread, 1.0)
        return found, sums[-1] if len(sums) else before

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "width": self.width,
            "step_seconds": self.step_seconds,
            "scaling": self.scaling,
            "deltas": self.deltas,
            "stack": self.stack,
            "scaler": self.scaler.to_json(),
            "floor": self.floor,
            "speakers": {name: scaler.to_json() for name, scaler in self.speakers.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SpeechReader:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        width, deltas, stack = data["width"], data["deltas"], data["stack"]
        if not all(type(n) is int for n in (width, deltas, stack)) or width < 1 or not 0 <= deltas <= 2 or stack < 1:
            raise ValueError(f"width {width!r}, deltas {deltas!r} and stack {stack!r}")
        scaling, seconds, scaler = data["scaling"], float(data["step_seconds"]), Scaler.from_json(data["scaler"])
        if scaling not in SCALINGS or not 0 < seconds < 60:
            raise ValueError(f"scaling {scaling!r} and {seconds!r} seconds")
        if len(scaler.shift) != width:
            raise ValueError(f"scales of {len(scaler.shift)} numbers for {width}")
        floor = data["floor"]
        if floor is not None and not -1000 <= float(floor) <= 1000:
            raise ValueError(f"floor {floor!r}")
        speakers = {str(name): Scaler.from_json(one) for name, one in data.get("speakers", {}).items()}
        if any(len(one.shift) != width for one in speakers.values()):
            raise ValueError(f"scales of speakers of other than {width} numbers")
        return cls(width, seconds, scaling, deltas, stack, scaler, floor, speakers=speakers)


def floored(raw: Floats, floor: float | None) -> Floats:
    """Frames whose numbers are at least this."""
    return raw if floor is None else np.maximum(raw, np.float32(floor))


def with_deltas(x: NDArray[np.float64], orders: int) -> NDArray[np.float64]:
    """(F, width * (1 + orders)): beside each number its slope over five frames, ends repeated (HTK book, eq. 5.16)."""
    found = [x]
    for _ in range(orders):
        wide = np.pad(found[-1], ((REACH, REACH), (0, 0)), mode="edge") if len(x) else found[-1]
        slopes = sum(
            k * (wide[REACH + k : REACH + k + len(x)] - wide[REACH - k : REACH - k + len(x)]) for k in (1, REACH)
        )
        found.append(np.asarray(slopes / (2 * sum(k * k for k in (1, REACH)))))
    return np.concatenate(found, 1)


def frames_in(recording: Recording, spectrum: Spectrum | None) -> int:
    """Frames of a recording, from its header."""
    if isinstance(recording, Frames):
        return recording.steps
    assert spectrum is not None
    return spectrum.frames(num_samples(recording, spectrum.rate))


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Whether there is nothing to hear."""
    return not len(samples) or float(np.abs(samples).max()) <= SILENCE


def decoded(recording: Recording, spectrum: Spectrum | None) -> tuple[Floats, bool]:
    """The frames (F, width) of a recording, and whether it is silent. Raises DataError for a file that has changed."""
    if isinstance(recording, Frames):
        raw = recording.read()
        return raw, not len(raw) or bool((raw == raw[0]).all())
    assert spectrum is not None
    samples = samples_of(recording, spectrum)
    return spectrum(samples), is_silent(samples)


def refuse_width(recording: Recording, width: int) -> None:
    """Raise DataError for features of another width than in training."""
    if isinstance(recording, Frames) and recording.width != width and recording.steps:
        raise DataError(
            f"{recording.origin}: {recording.name} has {recording.width} numbers a frame, training data had {width}."
        )
