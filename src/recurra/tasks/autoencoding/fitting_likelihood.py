"""Which likelihood `init` writes for a variational autoencoder, by what its numbers are like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.sizing import Choice, Options

# Whole numbers below this are taken for categories: a softmax for each number of a row grows with them.
FEW = 32


def likelihood_choices(options: Options, arrays: Sequence[NDArray[np.float64]]) -> list[Choice]:
    """The likelihood, and the scaling that it needs, of a variational run; nothing where it is known, or has no use.

    arrays: (T, F) of each row that was looked at, NaN where a number is missing
    """
    if not options.get("variational") or "likelihood" in options:
        return []
    found, reason, more = _fitting(options, np.concatenate([one.ravel() for one in arrays]))
    return [Choice("task.likelihood", found, reason), *more]


def _fitting(options: Options, numbers: NDArray[np.float64]) -> tuple[str, str, list[Choice]]:
    """A word of likelihoods, why, and what else that needs."""
    there: Any = numbers[~np.isnan(numbers)]
    if options.get("scaling") == "range":
        return "continuous_bernoulli", "pixels from 0 to 1, as they are scaled, with greys between", []
    free = "scaling" not in options
    if not len(there) or not free:
        return "gaussian", "any numbers", []
    if (there == np.round(there)).all() and there.min() >= 0 and there.max() < FEW:
        scaling = Choice("task.scaling", "none", "whole numbers stay what they are")
        return "categorical", f"whole numbers from 0 to {there.max():g}", [scaling]
    return "gaussian", "any numbers", []
