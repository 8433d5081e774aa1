"""A series that comes piece by piece: what has been read is kept as the network's state, never read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Origin, Prediction, Record
from recurra.base.errors import ConfigError
from recurra.models import SequenceModel
from recurra.tasks.series_reader import raw_series

if TYPE_CHECKING:
    from recurra.tasks.series_classification.task import SeriesClassification


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a series has been read. state, logits: of the network, after the last step; steps: so far"""

    state: Mapping[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    steps: int = 0


class StreamingPredictor:
    """A classifier that answers after each piece of a series as it would for all of the series so far, bit for bit.

    A piece holds whole steps. Raises ConfigError for a model that needs the end of a series before it can answer.
    """

    def __init__(self, task: SeriesClassification, model: torch.nn.Module) -> None:
        if not isinstance(model, SequenceModel):
            raise ConfigError(f"model: {type(model).__name__} carries no state from piece to piece.")
        if problems := [*model.cannot_stream(), *_cannot(task)]:
            raise ConfigError(problems)
        self._task = task
        self._model = model

    def begin(self) -> StreamState:
        """Before the first piece."""
        return StreamState()

    def read(self, place: StreamState, piece: str) -> tuple[StreamState, dict[str, Any]]:
        """The place after a piece, and the answer for all of the series so far.

        Raises DataError for what is no number, and for another number of features than in training.
        """
        (column,) = self._task.plan.columns
        raw = raw_series(Record({column: piece}, Origin("piece")), (column,), self._task.plan.missing)
        after = self._fed(raw, place) if len(raw) else place
        if after.logits is None:
            said = self._task.kind.answer("", None)
        else:
            (output,) = self._task.decode(Prediction({"logits": after.logits}))
            said = self._task.kind.answer("", output)
        answer = said.to_dict()
        del answer["text"]
        return after, answer | {"steps": after.steps}

    def _fed(self, raw: Any, place: StreamState) -> StreamState:
        limit = self._task.reader.max_length
        kept = raw if limit is None else raw[: max(limit - place.steps, 0)]
        values = torch.from_numpy(self._task.reader.ready(kept, Origin("piece"))).unsqueeze(1)
        if not len(values):
            return place
        values = values.to(next(self._model.parameters()).device)
        lengths = torch.tensor([len(values)], dtype=torch.int64)
        with torch.inference_mode():
            outputs, state = self._model.advance(Batch({"features": values, **place.state}, lengths, {}, ()))
        return replace(place, state=state, logits=outputs["logits"], steps=place.steps + len(values))


def _cannot(task: SeriesClassification) -> list[str]:
    problems = []
    if task.plan.sound is not None:
        problems.append("task.sound: a sound is read as a whole file; a model of numbers takes features in pieces.")
    if task.reader.scaler.how == "series":
        problems.append("task.scaling: series needs the whole series first; standard does not.")
    if task.reader.max_length is not None and task.reader.keep == "end":
        problems.append("task.keep: end needs the end of a series first; start does not.")
    if task.plan.flatten:
        problems.append("task.flatten: needs all steps first, as one vector; without it they may come one by one.")
    if len(task.plan.columns) > 1:
        problems.append("task.values: several columns come as one list for each step; name one column of lists.")
    return problems
