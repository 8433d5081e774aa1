"""Sampling: draw each token by its probability. A row's draws do not depend on which rows are beside it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recurra.base.errors import ConfigError, ShapeError
from recurra.decode.limits import at_least, limits, whole
from recurra.decode.loop import collect, decode_loop
from recurra.decode.steps import Floats, Hypothesis, Ints, S, Steps, refuse_bad


def sample(
    steps: Steps[S],
    state: S,
    *,
    num_rows: int,
    start: int,
    end: int,
    max_length: int | Tensor,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    keys: Sequence[str | int] | None = None,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Draw one sequence per row. Log-probabilities and score are the model's, before temperature and cuts.

    For several draws of one row, repeat it with `steps.select`, and give each copy a key of its own.
    Options are those of `greedy` and of `Draw`; raises what they raise, and ShapeError for another number of keys than
    rows.
    """
    if keys is not None and len(keys) != num_rows:
        raise ShapeError(f"keys: expected one for each of {num_rows} rows, got {len(keys)}.")
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
    draw = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, keys=keys)
    said = decode_loop(steps, state, start=start, bounds=bounds, choose=draw, device=torch.device(device))
    return collect(said, num_rows=num_rows, end=end)


class Sampling:
    """Draw a token. First the temperature, then top_k, then top_p of what is left.

    temperature: above 0; the log-probabilities are divided by it, so below 1 the probable becomes more so
    top_k: draw from the k most probable (Fan et al. 2018, arXiv:1805.04833, section 5.4); None: from all
    top_p: draw from the fewest most probable that have p of the probability, above 0, at most 1
      (Holtzman et al. 2020, arXiv:1904.09751, section 3.1); None: from all
    seed, keys: a draw is a function of (seed, key of the row, step). keys: by default the number of the row
    Raises ConfigError for an option out of its range.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        keys: Sequence[str | int] | None = None,
    ) -> None:
        if not (isinstance(temperature, int | float) and math.isfinite(temperature) and temperature > 0):
            raise ConfigError(
                f"temperature: expected a number above 0, got {temperature!r}; greedy search takes the most probable."
            )
        if top_k is not None:
            at_least("top_k", top_k, 1)
        if top_p is not None and not (isinstance(top_p, int | float) and 0 < top_p <= 1):
            raise ConfigError(f"top_p: expected a number above 0 and at most 1, got {top_p!r}.")
        whole("seed", seed)
        self._temperature = temperature
        self._top_k = top_k
        self._top_p = top_p
        self._seed = seed
        self._keys = keys

    def choose(self, log_probs: Tensor, *, rows: Ints, step: int) -> tuple[Floats, Ints]:
        """One draw per row, by the inverse of the cumulative distribution."""
        best = log_probs.max(1, keepdim=True).values
        refuse_bad(best[:, 0].double().cpu().numpy(), rows=rows, step=step)
        values, tokens = self._candidates(log_probs)
        # Relative to the greatest, so that no exponential overflows. A row of -inf alone gives NaN; what it draws has
        # probability 0, which the loop refuses.
        weights = torch.exp((values.float() - best.float()) / self._temperature)
        cumulative = weights.cumsum(1, dtype=torch.float64)
        target = self._uniform(rows, step).to(cumulative.device) * self._mass(cumulative)
        drawn = torch.searchsorted(cumulative, target, right=True).clamp(max=values.shape[1] - 1)
        token = drawn if tokens is None else tokens.gather(1, drawn)
        value: Floats = values.gather(1, drawn)[:, 0].double().cpu().numpy()
        return np.minimum(value, 0), token[:, 0].cpu().numpy()

    def _candidates(self, log_probs: Tensor) -> tuple[Tensor, Tensor | None]:
        """What to draw from, best first where that matters, and which tokens these are (None: as they stand)."""
        if self._top_k is not None:
            return log_probs.topk(min(self._top_k, log_probs.shape[1]), dim=1)
        if self._top_p is not None:
            return log_probs.sort(dim=1, descending=True, stable=True)
        return log_probs, None

    def _mass(self, cumulative: Tensor) -> Tensor:
        """The weight (B, 1) of all candidates, or of the fewest that have p of it. cumulative: (B, V), best first."""
        whole_mass = cumulative[:, -1:]
        if self._top_p is None:
            return whole_mass
        last = torch.searchsorted(cumulative, self._top_p * whole_mass)
        return cumulative.gather(1, last.clamp(max=cumulative.shape[1] - 1))

    def _uniform(self, rows: Ints, step: int) -> Tensor:
        """(B, 1) float64 in 0..1, one for each row. 32 bits: times any mass, the product stays below that mass."""
        keys = rows.tolist() if self._keys is None else [self._keys[row] for row in rows.tolist()]
        digests = (hashlib.blake2b(f"{self._seed}:{step}:{key}".encode(), digest_size=4).digest() for key in keys)
        return torch.tensor([int.from_bytes(d) / 2**32 for d in digests], dtype=torch.float64).unsqueeze(1)
