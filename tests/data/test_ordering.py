"""Orders in little memory are those that NumPy makes in much."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data import ordering
from recurra.data.ordering import grouping, sorting


@pytest.mark.parametrize("number", [0, 1, 8, 9, 1000])
@pytest.mark.parametrize("most", [3, 2**64 - 1])
def test_sorting_in_chunks_is_a_stable_sort(number: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "CHUNK", 8)
    values = np.random.default_rng(number).integers(0, most, number, dtype=np.uint64, endpoint=True)
    assert sorting(values).tolist() == np.argsort(values, kind="stable").tolist()


def test_grouping_keeps_the_order_in_each_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "CHUNK", 8)
    buckets = np.random.default_rng(1).integers(0, 5, 100).astype(np.uint16)
    found, bounds = grouping(100, lambda part: buckets[part], 7)
    assert found.tolist() == np.argsort(buckets, kind="stable").tolist()
    assert bounds.tolist() == [0, *np.bincount(buckets, minlength=7).cumsum().tolist()]
