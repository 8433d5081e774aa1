"""A text that comes piece by piece: what has been read is kept as the network's state, never read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import regex  # type: ignore[import-untyped]
import torch
from torch import Tensor

from recurra.base.contracts import Prediction
from recurra.base.errors import ConfigError, DataError
from recurra.models.classifier import Classifier
from recurra.nn.recurrent import State

if TYPE_CHECKING:
    from recurra.tasks.classification.task import Classification

# Where a text may be cut so that its parts have the tokens of the whole: before white space (no cluster of
# characters begins there, unless a prepended mark or CR stands before it) ...
_BEFORE_SPACE = regex.compile(r"(?<=[^\s\p{GCB=Prepend}\p{GCB=Control}])\s", regex.V1)
# ... and, where tokens are characters, between two that neither combine nor change each other's lower case.
_BETWEEN_CHARACTERS = regex.compile(r"(?<=[A-Za-z0-9 \p{Han}])(?=[A-Za-z0-9 \p{Han}])", regex.V1)
# Characters that wait for a place to cut at.
LONGEST_TAIL = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """How far a text has been read. tail: its end, which may still become part of a longer token; tokens: so far."""

    state: State | None = None
    tail: str = ""
    tokens: int = 0


class Follower:
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
        characters = task.reader.tokenizer.to_json()["name"] == "characters"
        self._cut = _BETWEEN_CHARACTERS if characters else _BEFORE_SPACE

    def begin(self) -> Place:
        """Before the first piece."""
        return Place()

    def read(self, place: Place, piece: str) -> tuple[Place, dict[str, Any]]:
        """The place after a piece, and the answer for all of the text so far.

        Raises DataError where nothing in the last 10,000 characters tells where a token ends.
        """
        text = place.tail + piece
        at = max((found.start() for found in self._cut.finditer(text)), default=0)
        if len(text) - at > LONGEST_TAIL:
            raise DataError(f"text: {len(text) - at:,} characters without white space; expected some between words.")
        with torch.inference_mode():
            state, _, tokens = self._fed(text[:at], place.state, place.tokens)
            _, logits, total = self._fed(text[at:], state, tokens)
        (output,) = self._task.decode(Prediction({"logits": logits}))
        return Place(state, text[at:], tokens), {**self._task.kind.answer(output), "tokens": total}

    def _fed(self, text: str, state: State | None, tokens: int) -> tuple[State, Tensor, int]:
        limit = self._task.reader.max_length
        cut = self._task.reader.tokens(text)
        cut = cut if limit is None else cut[: max(limit - tokens, 0)]
        ids = torch.tensor([self._task.reader.vocabulary.ids(cut)], dtype=torch.int64).T
        device = next(self._model.parameters()).device
        state, logits = self._model.go_on(ids.to(device), state)
        return state, logits, tokens + len(cut)


def _cannot_cut(task: Classification) -> list[str]:
    if task.reader.max_length is not None and task.reader.keep == "end":
        return ["task.keep: end reads the last tokens of a text, and the end of a text in pieces is not known."]
    return []
