"""The contrast of pairs, against sums in float64."""

from __future__ import annotations

import numpy as np
import torch

from oracles.contrastive import nats
from recurra.losses.contrastive import contrastive_nats


def test_nats_are_those_of_the_paper_written_out():
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    for right in (np.eye(6, dtype=bool), np.eye(6, dtype=bool) | (np.arange(6)[:, None] // 2 == np.arange(6) // 2)):
        expected = nats(first, second, 3.5, right)
        found = contrastive_nats(
            torch.from_numpy(first),
            torch.from_numpy(second),
            torch.tensor(3.5, dtype=torch.float64),
            torch.from_numpy(right),
        )
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)


def test_a_batch_of_one_pair_costs_nothing():
    there, back = contrastive_nats(
        torch.ones(1, 2), torch.ones(1, 2), torch.tensor(2.0), torch.ones(1, 1, dtype=torch.bool)
    )
    assert (float(there), float(back)) == (0.0, 0.0)
