"""Greedy search."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.decode.limits import limits
from recurra.decode.loop import Greedy, collect, decode_loop
from recurra.decode.steps import Hypothesis, S, Steps


def greedy(
    steps: Steps[S],
    state: S,
    *,
    num_rows: int,
    start: int,
    end: int,
    max_length: int | Tensor,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """The most probable token at every step: one hypothesis per row, equal to `beam_search` with a beam of 1.

    state: of num_rows rows        start, end: the numbers of those tokens
    max_length: steps at most, the end being one; a number, or a tensor (N,) with one for each row
    min_length: tokens before the end may come        no_repeat_ngram: no so many tokens in a row come twice; 0: off
    device: where the model reads its tokens
    Raises ConfigError or ShapeError for an option that is wrong or cannot take effect; RunError, naming row and step,
    when the model gives NaN or numbers that are no log-probabilities, or when no token may follow.
    """
    bounds = limits(
        steps,
        state,
        num_rows=num_rows,
        start=start,
        end=end,
        max_length=max_length,
        min_length=min_length,
        no_repeat_ngram=no_repeat_ngram,
    )
    said = decode_loop(
        steps, state, start=start, bounds=bounds, choose=Greedy(), device=torch.device(device), at_once=True
    )
    return collect(said, num_rows=num_rows, end=end)
