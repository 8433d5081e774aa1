"""The best few of many: where the vocabulary is large, only some classes of columns are looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.errors import RunError
from recurra.decode.steps import best_tokens


@pytest.mark.parametrize("V", [7, 1280, 1281, 5003])
def test_the_best_tokens_of_any_vocabulary_are_those_of_a_full_sort(V):
    values = -np.random.default_rng(V).exponential(size=(9, V))
    values[0, -5:] = -1e-9, -2e-9, -3e-9, -4e-9, -5e-9  # in the last columns, which belong to no class
    values[1, 3::80] = -1e-9 * np.arange(1, len(values[1, 3::80]) + 1)  # V = 1280: of one class
    values[2, 5:] = -np.inf
    log_probs, tokens = best_tokens(torch.from_numpy(values), 5, rows=np.arange(9), step=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(log_probs, np.take_along_axis(values, order, axis=1))
    np.testing.assert_array_equal(np.sort(tokens), np.sort(order))


@pytest.mark.parametrize("column", [0, 2500, 5002])
def test_one_nan_in_a_large_vocabulary_is_found(column):
    log_probs = torch.full((3, 5003), -8.5)
    log_probs[1, column] = torch.nan
    with pytest.raises(RunError, match="row 1, step 4: the model's log-probabilities hold NaN"):
        best_tokens(log_probs, 5, rows=np.arange(3), step=4)
