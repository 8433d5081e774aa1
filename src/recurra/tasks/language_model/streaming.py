"""How probable a text is that comes piece by piece: what has been read is kept as the network's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.data.tokenizers import EOS, UNK
from recurra.losses import fixed_sum
from recurra.nn import softmax_nats
from recurra.tasks.blank import NOTE, is_blank
from recurra.tasks.language_model.documents import LINE
from recurra.tasks.language_model.scoring import perplexity
from recurra.tasks.pieces import cut

if TYPE_CHECKING:
    from recurra.tasks.language_model.task import LanguageModelling

# Tokens that are read in one call of the model.
READ = 512


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a text has been read. last: the number of its last token, and the token; nats: of all before the tail.

    blank: nothing can be seen so far
    """

    last: tuple[int, str]
    state: dict[str, Tensor] = field(default_factory=dict)
    nats: float = 0.0
    tokens: int = 0
    tail: str = ""
    blank: bool = True


class StreamingPredictor:
    """A language model that judges, after each piece of a text, all of the text so far, as `predict` does."""

    def __init__(self, task: LanguageModelling, model: torch.nn.Module) -> None:
        self._task = task
        self._model = model

    def begin(self) -> StreamState:
        """Before the first piece."""
        return StreamState((self._task.start, ""))

    def read(self, place: StreamState, piece: str) -> tuple[StreamState, dict[str, Any]]:
        """The place after a piece, and the answer for all of the text so far.

        Raises DataError where nothing in the last 10,000 characters tells where a token ends.
        """
        known, tail = cut(place.tail + piece, self._task.reader.tokenizer)
        after = self._fed(place, self._numbered(self._task.tokens(known)), tail)
        end = [(EOS, "")] if self._task.closed else self._numbered([LINE]) if self._task.line_breaks else []
        whole = self._fed(after, [*self._numbered(self._task.tokens(tail)), *end], "")
        share = perplexity(whole.nats, whole.tokens)
        answer = {"log_prob": 0.0 - whole.nats, "perplexity": share, "num_tokens": whole.tokens}
        blank = place.blank and is_blank(piece)
        return replace(after, blank=blank), answer | ({"note": NOTE} if blank else {})

    def _numbered(self, tokens: Sequence[str]) -> list[tuple[int, str]]:
        return list(zip(self._task.reader.vocabulary.ids(tokens), tokens, strict=True))

    def _inputs(self, read: Sequence[tuple[int, str]], device: torch.device) -> dict[str, Tensor]:
        """Of tokens, one row of inputs."""
        spellings = self._task.spellings()
        if spellings is None:
            return {"tokens": torch.tensor([n for n, _ in read], dtype=torch.int64, device=device).unsqueeze(1)}
        numbers = [spellings.numbers([token])[0] if n == UNK and token else n for n, token in read]
        found = spellings.inputs(np.array(numbers, np.int64)[:, None])
        return {name: value.to(device) for name, value in found.items()}

    def _fed(self, place: StreamState, numbers: Sequence[tuple[int, str]], tail: str) -> StreamState:
        """The place after these tokens."""
        last, state, nats = place.last, place.state, place.nats
        device = next(self._model.parameters()).device
        for at in range(0, len(numbers), READ):
            some = numbers[at : at + READ]
            targets = torch.tensor([n for n, _ in some], dtype=torch.int64, device=device).unsqueeze(1)
            with torch.inference_mode():
                inputs = self._inputs([last, *some[:-1]], device) | state
                outputs = self._model(Batch(inputs, torch.tensor([len(some)], dtype=torch.int64), {}, ())).outputs
                real = torch.ones_like(targets, dtype=torch.bool)
                nats += float(fixed_sum(softmax_nats(outputs, targets, real)))
            last, state = some[-1], {name: value for name, value in outputs.items() if name.startswith("state.")}
        return StreamState(last, state, nats, place.tokens + len(numbers), tail)
