"""Digests: equal for equal values only."""

from __future__ import annotations

import hashlib
from array import array

import numpy as np
import pytest

from recurra.base.digest import digest_of

DIFFERENT = [
    (), (None,), ("",), (b"",), (0,), (0.0,), (False,), ((),), ("ab", "c"), ("a", "bc"), ("abc",), (("a", "bc"),),
    (b"abc",), (1,), (True,), ("1",), (1.0,), (np.array([1, 2]),), (np.array([[1, 2]]),), (np.array([1.0, 2.0]),),
    ((1, 2),), (-0.0,), (10**30,),
]  # fmt: skip


def test_values_that_differ_in_kind_parts_or_shape_have_different_digests() -> None:
    assert len({digest_of(*parts) for parts in DIFFERENT}) == len(DIFFERENT)


def test_a_digest_is_the_sha_256_of_kinds_sizes_and_bytes() -> None:
    assert digest_of("é", 7) == hashlib.sha256(b"text 2\n\xc3\xa9int 1\n7").digest()
    assert digest_of(array("i", [1, 2])) == digest_of(np.array([1, 2], np.int32))
    assert digest_of(["a", "b"]) == digest_of(("a", "b"))


def test_the_order_of_memory_does_not_count() -> None:
    table = np.arange(6).reshape(2, 3)
    assert digest_of(table) == digest_of(np.asfortranarray(table))


@pytest.mark.parametrize("value", [object(), {"a": 1}, {1}])
def test_what_can_only_be_printed_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="expected text, numbers or arrays, got"):
        digest_of(value)
