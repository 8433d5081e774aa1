"""Rows and examples as plain values: what marshal can write, and the same row when it comes back."""

from __future__ import annotations

import marshal
from array import array
from dataclasses import dataclass
from dataclasses import field as also
from typing import Any

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.data.store import ARRAY, INTS, Fields

HERE = Origin("a.csv", 3)


@dataclass(frozen=True, slots=True)
class Alone:
    origin: Origin
    name: str


@dataclass(frozen=True, slots=True)
class Several:
    name: str
    values: Any
    origin: Origin
    bounds: Any
    gold: tuple[str, ...] | None
    made: str = also(init=False, default="made")


def back(codec: Fields[Any], one: Any) -> Any:
    return codec.from_plain(marshal.loads(marshal.dumps(codec.to_plain(one))), HERE)


def test_a_row_comes_back_from_its_fields_with_its_origin() -> None:
    codec = Fields(Alone)
    assert codec.to_plain(Alone(HERE, "x")) == ("x",)
    assert back(codec, Alone(HERE, "x")) == Alone(HERE, "x")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", ">i4"])
@pytest.mark.parametrize("shape", [(0, 2), (3, 2), (2,)])
def test_arrays_come_back_with_their_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    found = back(Fields(Several, values=ARRAY, bounds=INTS), Several("x", values, HERE, array("i", [1, -2]), ("a",)))
    assert (found.values.dtype, found.values.shape, found.values.tolist()) == (values.dtype, shape, values.tolist())
    assert (found.name, found.bounds, found.gold, found.origin) == ("x", array("i", [1, -2]), ("a",), HERE)
