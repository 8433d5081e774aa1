"""A series or a sound that comes piece by piece: what was read is kept as the network's state, never read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import Batch, Origin, Record
from recurra.base.errors import ConfigError
from recurra.data.sound import pcm
from recurra.data.spectra import Spectrum
from recurra.data.spectra.contract import Samples
from recurra.models import SequenceModel
from recurra.tasks.series_reader import raw_series

if TYPE_CHECKING:
    from recurra.tasks.series_task import SeriesTask


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a series has been read. state, outputs: of the network, after the last step; steps: so far

    rest: samples of a sound that belong to frames that are not whole yet
    """

    state: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] | None = None
    steps: int = 0
    rest: Samples = field(default_factory=lambda: np.zeros(0, np.float32))


class StreamingPredictor:
    """A model of series that answers after each piece as it would for all of the series so far, bit for bit.

    A piece of numbers holds whole steps; a piece of a sound any number of samples.
    Raises ConfigError for a model that needs the end of a series before it can answer.
    """

    def __init__(self, task: SeriesTask, model: torch.nn.Module) -> None:
        if not isinstance(model, SequenceModel):
            raise ConfigError(f"model: {type(model).__name__} carries no state from piece to piece.")
        if problems := [*model.cannot_stream(), *_cannot(task)]:
            raise ConfigError(problems)
        self._task = task
        self._model = model
        self._spectrum = task.plan.spectrum  # built from the plan each time it is asked for
        self._device = next(model.parameters()).device

    def begin(self) -> StreamState:
        """Before the first piece."""
        return StreamState()

    def read(self, place: StreamState, piece: str) -> tuple[StreamState, dict[str, Any]]:
        """The place after a piece, and the answer for all of the series so far.

        piece: numbers as in a file; of a sound base64 of samples of one channel, 16 bits, little-endian
        Raises DataError for what is no number or no samples, and for another number of features than in training.
        """
        raw, rest = self._steps(place.rest, piece)
        after = self._fed(raw, place, rest)
        return after, self._task.streamed(after.outputs) | {"steps": after.steps}

    def _steps(self, rest: Samples, piece: str) -> tuple[Any, Samples]:
        """The steps that a piece makes whole, (T, F), and the samples of later ones."""
        spectrum = self._spectrum
        if spectrum is None:
            (column,) = self._task.plan.columns
            return raw_series(Record({column: piece}, Origin("piece")), (column,), self._task.plan.missing), rest
        samples = np.concatenate([rest, pcm(piece)])
        frames = spectrum.frames(len(samples))
        return spectrum(samples), samples[frames * spectrum.step :]

    def _fed(self, raw: Any, place: StreamState, rest: Samples) -> StreamState:
        limit = self._task.reader.max_length
        kept = raw if limit is None else raw[: max(limit - place.steps, 0)]
        if not len(raw):
            return replace(place, rest=rest)
        values = self._task.reader.ready(kept, Origin("piece"))
        if not len(values):
            return replace(place, rest=rest)
        with torch.inference_mode():
            features = torch.from_numpy(values).unsqueeze(1).to(self._device)
            lengths = torch.tensor([len(values)], dtype=torch.int64)
            outputs, state = self._model.advance(Batch({"features": features, **place.state}, lengths, {}, ()))
        return StreamState(state, outputs, place.steps + len(values), rest)


def cannot_hear(spectrum: Spectrum, *, rate_told: bool = False) -> list[str]:
    """Why sounds cannot come piece by piece by a definition, a sentence each. rate_told: beside the pieces"""
    problems = []
    if not spectrum.causal:
        problems.append("task.sound: its frames need samples that come later; those of kaldi do not.")
    if spectrum.step > spectrum.window:
        problems.append("task.sound.step_ms: is longer than a frame; expected frame_ms at most.")
    if spectrum.resample and not rate_told:
        problems.append(
            "task.sound.resample: pieces have no header that tells their rate; leave it out, or send speech to /hear."
        )
    return problems


def _cannot(task: SeriesTask) -> list[str]:
    problems = []
    if task.plan.spectrum is not None:
        problems += cannot_hear(task.plan.spectrum)
    if task.reader.scaler.how == "series":
        problems.append("task.scaling: series needs the whole series first; standard does not.")
    if task.reader.joints is not None:
        problems.append("task.joints: are made of whole series; train on coordinates as they are, without it.")
    if task.reader.max_length is not None and task.reader.keep == "end":
        problems.append("task.keep: end needs the end of a series first; start does not.")
    if task.plan.flatten:
        problems.append("task.flatten: needs all steps first, as one vector; without it they may come one by one.")
    if len(task.plan.columns) > 1:
        problems.append("task.values: several columns come as one list for each step; name one column of lists.")
    return problems
