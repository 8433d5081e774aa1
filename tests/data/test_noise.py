"""Noise on rows: that a share hides something however short the row is."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data.noise import NOISES


@pytest.mark.parametrize(("size", "hidden"), [(6, 1), (20, 1), (40, 2), (100, 5)])
def test_a_block_hides_its_share_and_one_number_at_least(size: int, hidden: int) -> None:
    mask = NOISES["mask"](share=0.05, each="block")
    values = np.ones((1, size), np.float32)
    for key in range(20):
        found, which = mask(values, key, (0.0, 1.0))
        assert int(which.sum()) == hidden
        np.testing.assert_array_equal(found == 0, which)
