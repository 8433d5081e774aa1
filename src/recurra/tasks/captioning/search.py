"""How a caption is found: greedy or beam search, up to a length that no training caption has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from recurra.base.contracts import Batch
from recurra.data.tokenizers import BOS, EOS
from recurra.decode import Hypothesis, Token, beam_search, greedy, stream
from recurra.tasks.translation.search import Autoregressive, Search, Speaker


@dataclass(frozen=True, slots=True)
class CaptionSearch:
    """search: beam, how many answers, how lengths compare      longest: steps of a caption, its end among them"""

    search: Search
    longest: int

    def asked(self, **options: Any) -> CaptionSearch:
        """With other options. Raises ConfigError, all mistakes at once, for those that cannot take effect."""
        return replace(self, search=self.search.asked(**options))

    def run(self, model: Autoregressive, batch: Batch) -> list[list[Hypothesis]]:
        """The captions of each row, best first."""
        common: dict[str, Any] = {
            "num_rows": len(batch.lengths),
            "start": BOS,
            "end": EOS,
            "max_length": self.longest,
            "device": device_of(batch),
        }
        with torch.no_grad():
            state = model.start(batch)
        if self.search.beam == 1:
            return greedy(Speaker(model), state, **common)
        common |= {"beam": self.search.beam, "n_best": self.search.n_best, "length_penalty": self.search.penalty}
        return beam_search(Speaker(model), state, **common)

    def stream(self, model: Autoregressive, batch: Batch) -> Iterator[Token]:
        """The tokens of a greedy search for a batch of one row, each as soon as it is known."""
        with torch.no_grad():
            state = model.start(batch)
        length = self.longest
        return stream(Speaker(model), state, start=BOS, end=EOS, max_length=length, device=device_of(batch))


def device_of(batch: Batch) -> torch.device:
    """Where a batch is."""
    return next(iter(batch.inputs.values())).device
