"""A text that comes piece by piece: what has been read is kept as the network's state, never read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.models import SequenceModel
from recurra.tasks.blank import is_blank
from recurra.tasks.pieces import cut

if TYPE_CHECKING:
    from recurra.tasks.classification.task import Classification


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a text has been read.

    state, logits: of the network, after the last token; logits are None before the first one
    tail: its end, which may still become part of a longer token; tokens: so far; blank: nothing can be seen so far
    """

    state: Mapping[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    tail: str = ""
    tokens: int = 0
    blank: bool = True


class StreamingPredictor:
    """A classifier that answers after each piece of a text as it would for all of the text so far.

    Raises ConfigError for a model that needs the end of a text before it can answer for its beginning.
    """

    def __init__(self, task: Classification, model: torch.nn.Module) -> None:
        if not isinstance(model, SequenceModel):
            raise ConfigError(f"model: {type(model).__name__} carries no state from piece to piece.")
        if problems := [*model.cannot_stream(), *_cannot_cut(task)]:
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
        blank = place.blank and is_blank(piece)
        with torch.inference_mode():
            after = replace(self._fed(known, place), tail=tail, blank=blank)
            whole = self._fed(tail, after)
        if blank or whole.logits is None:
            return after, self._answer(None, whole.tokens)
        (output,) = self._task.decode(Prediction({"logits": whole.logits}))
        return after, self._answer(output, whole.tokens)

    def _answer(self, output: Any, tokens: int) -> dict[str, Any]:
        """The answer without the text, which is not kept."""
        answer = self._task.kind.answer("", output).to_dict()
        del answer["text"]
        return answer | {"tokens": tokens}

    def _fed(self, text: str, place: StreamState) -> StreamState:
        """The place after the tokens of a text; the same place where it has none."""
        limit = self._task.reader.max_length
        read = self._task.reader.tokens(text)
        read = read if limit is None else read[: max(limit - place.tokens, 0)]
        if not read:
            return place
        ids = torch.tensor([self._task.reader.vocabulary.ids(read)], dtype=torch.int64).T
        tokens = ids.to(next(self._model.parameters()).device)
        lengths = torch.tensor([len(read)], dtype=torch.int64)
        outputs, state = self._model.advance(Batch({"tokens": tokens, **place.state}, lengths, {}, ()))
        return replace(place, state=state, logits=outputs["logits"], tokens=place.tokens + len(read))


def _cannot_cut(task: Classification) -> list[str]:
    if task.reader.max_length is not None and task.reader.keep == "end":
        return ["task.keep: end reads the last tokens of a text, and the end of a text in pieces is not known."]
    return []
