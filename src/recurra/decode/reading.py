"""Texts that a network reads step by step, each once, when it is asked about: those that wait are read together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import torch
from torch import Tensor

from recurra.decode.steps import S, Steps


@dataclass(slots=True, eq=False)
class Read(Generic[S]):
    """A text that was read, or will be. block: of its states; row: its own; value: what the network says after it"""

    token: int
    before: Read[S] | None = None
    block: S | None = None
    row: int = 0
    value: Any = None


class Reading(Generic[S]):
    """Reads texts. state: one row, before anything is read      keep: what a step says (B, ...) as B values

    Texts whose states came from one step are read in one step.
    """

    def __init__(
        self, steps: Steps[S], state: S, keep: Callable[[Tensor], Sequence[Any]], device: torch.device | str = "cpu"
    ) -> None:
        self._steps, self._begin, self._keep, self._device = steps, state, keep, torch.device(device)

    def read(self, texts: Sequence[Read[S]]) -> None:
        """Have the values of all of them."""
        waiting: dict[int, list[Read[S]]] = {}
        for text in dict.fromkeys(t for t in texts if t.value is None):
            waiting.setdefault(id(text.before and text.before.block), []).append(text)
        for some in waiting.values():
            self._step(some)

    def _step(self, some: Sequence[Read[S]]) -> None:
        before = some[0].before
        block = self._begin if before is None else before.block
        assert block is not None, "a text is read before what follows it"
        rows = torch.tensor(
            [0 if t.before is None else t.before.row for t in some], dtype=torch.int64, device=self._device
        )
        tokens = torch.tensor([t.token for t in some], dtype=torch.int64, device=self._device)
        with torch.no_grad():
            said, after = self._steps.step(tokens, self._steps.select(block, rows))
        for row, (text, value) in enumerate(zip(some, self._keep(said), strict=True)):
            text.block, text.row, text.value, text.before = after, row, value, None
