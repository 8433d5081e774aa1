"""A text that comes piece by piece: what has been read is kept as the network's state, never read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.base.contracts import Prediction
from recurra.base.errors import ConfigError
from recurra.models.classifier import Classifier
from recurra.nn.recurrent import State
from recurra.tasks.blank import NOTE, is_blank
from recurra.tasks.pieces import cut

if TYPE_CHECKING:
    from recurra.tasks.classification.task import Classification


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a text has been read.

    tail: its end, which may still become part of a longer token; tokens: so far; blank: nothing can be seen so far
    """

    state: State | None = None
    tail: str = ""
    tokens: int = 0
    blank: bool = True


class StreamingPredictor:
    """A classifier that answers after each piece of a text as it would for all of the text so far.

    Raises ConfigError for a model that needs the end of a text before it can answer for its beginning.
    """

    def __init__(self, task: Classification, model: torch.nn.Module) -> None:
        if not isinstance(model, Classifier):
            raise ConfigError(f"model: a {type(model).__name__} carries no state from piece to piece.")
        if problems := [*model.cannot_go_on(), *_cannot_cut(task)]:
            raise ConfigError(problems)
        self._task = task
        self._model = model

    def begin(self) -> StreamState:
        """Before the first piece."""
        return StreamState()

    def read(self, place: StreamState, piece: str) -> tuple[StreamState, dict[str, Any]]:
        """The place after a piece, and the answer for all of the text so far.

        Raises DataError where nothing in the last 10,000 characters tells where a token ends.
        """
        known, tail = cut(place.tail + piece, self._task.reader.tokenizer)
        with torch.inference_mode():
            state, _, tokens = self._fed(known, place.state, place.tokens)
            _, logits, total = self._fed(tail, state, tokens)
        (output,) = self._task.decode(Prediction({"logits": logits}))
        blank = place.blank and is_blank(piece)
        answer = {**self._task.kind.nothing, "note": NOTE} if blank or not total else self._task.kind.answer(output)
        return StreamState(state, tail, tokens, blank), {**answer, "tokens": total}

    def _fed(self, text: str, state: State | None, tokens: int) -> tuple[State, Tensor, int]:
        limit = self._task.reader.max_length
        read = self._task.reader.tokens(text)
        read = read if limit is None else read[: max(limit - tokens, 0)]
        ids = torch.tensor([self._task.reader.vocabulary.ids(read)], dtype=torch.int64).T
        device = next(self._model.parameters()).device
        state, logits = self._model.advance(ids.to(device), state)
        return state, logits, tokens + len(read)


def _cannot_cut(task: Classification) -> list[str]:
    if task.reader.max_length is not None and task.reader.keep == "end":
        return ["task.keep: end reads the last tokens of a text, and the end of a text in pieces is not known."]
    return []
