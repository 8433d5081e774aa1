"""How a reply is written: greedy, by beam search, or drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import BOS, EOS, UNK
from recurra.decode import (
    Choose,
    Greedy,
    Hypothesis,
    LengthPenalty,
    Sampling,
    Token,
    beam_search,
    greedy,
    sample,
    stream,
)
from recurra.tasks.contract import ChatOptions
from recurra.tasks.translation.search import WIDEST_BEAM, Autoregressive, Speaker


@dataclass(frozen=True, slots=True)
class Replying:
    """beam: hypotheses, 1 is greedy      penalty: how lengths compare      most: tokens of a reply, at most

    no_repeat_ngram: so many tokens in a row come once
    temperature: above 0 a reply is drawn, and the beam has no part in it; top_p and seed belong to that
    n_best: how many replies
    """

    beam: int
    penalty: LengthPenalty
    most: int
    no_repeat_ngram: int
    n_best: int = 1
    temperature: float = 0.0
    top_p: float | None = None
    seed: int = 0

    def asked(self, *, beam: int | None, n_best: int | None) -> Replying:
        """With other options. Raises ConfigError, all mistakes at once, for those that cannot take effect."""
        problems = [
            f"{name}: expected a whole number from 1 to {WIDEST_BEAM}, got {value!r}."
            for name, value in (("beam", beam), ("n_best", n_best))
            if value is not None and not (type(value) is int and 1 <= value <= WIDEST_BEAM)
        ]
        wider = replace(self, beam=beam or self.beam, n_best=n_best or 1)
        if not problems and wider.n_best > wider.beam:
            problems = [f"n_best: expected at most beam, which is {wider.beam}, got {wider.n_best}. Widen the beam."]
        if problems:
            raise ConfigError(problems)
        return wider

    def chatting(self, how: ChatOptions) -> Replying:
        """As a chat asks for it."""
        drawing: Any = {"temperature": how.temperature, "top_p": how.top_p, "seed": how.seed}
        return replace(self, beam=how.beam or self.beam, n_best=1, **drawing)

    def run(self, model: Autoregressive, batch: Batch, keys: Sequence[str]) -> list[list[Hypothesis]]:
        """The replies to each row, best first. keys: of rows, by which replies are drawn"""
        steps, state = Known(model), model.start(batch)
        common: dict[str, Any] = {
            "num_rows": len(batch.lengths),
            "start": BOS,
            "end": EOS,
            "max_length": self.most + 1,
            "no_repeat_ngram": self.no_repeat_ngram,
            "device": batch.inputs["tokens"].device,
        }
        if self.temperature:
            drawing: dict[str, Any] = {
                "temperature": self.temperature,
                "top_p": self.top_p,
                "seed": self.seed,
                "keys": keys,
            }
            return sample(steps, state, **common, **drawing)
        if self.beam == 1:
            return greedy(steps, state, **common)
        return beam_search(steps, state, **common, beam=self.beam, n_best=self.n_best, length_penalty=self.penalty)

    def stream(self, model: Autoregressive, batch: Batch, key: str) -> Iterator[Token]:
        """The tokens of a reply to the only row of a batch, each as soon as it is known; of a beam once it is done."""
        if self.beam > 1 and not self.temperature:
            with torch.inference_mode():
                found = self.run(model, batch, [key])[0][0]
            said = zip((*found.tokens, *([EOS] if found.ended else [])), found.log_probs, strict=True)
            return (Token(0, token, log_prob, token == EOS) for token, log_prob in said)
        choose: Choose = Greedy()
        if self.temperature:
            choose = Sampling(temperature=self.temperature, top_p=self.top_p, seed=self.seed, keys=[key])
        with torch.no_grad():
            state = model.start(batch)
        ends: dict[str, Any] = {"start": BOS, "end": EOS, "max_length": self.most + 1}
        device, once = batch.inputs["tokens"].device, self.no_repeat_ngram
        return stream(Known(model), state, **ends, no_repeat_ngram=once, choose=choose, device=device)


class Known:
    """A model that says neither padding, a start nor an unknown token: nobody could read that."""

    def __init__(self, model: Autoregressive) -> None:
        self._speaker = Speaker(model)

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = self._speaker.step(tokens, state)
        never = torch.tensor([UNK], dtype=torch.int64, device=log_probs.device)
        return log_probs.index_fill(1, never, float("-inf")), state

    def most_steps(self, state: Any) -> int | Tensor | None:
        """As the model has them."""
        return self._speaker.most_steps(state)

    def select(self, state: Any, rows: Tensor) -> Any:
        return self._speaker.select(state, rows)
