"""Errors of the engine's functions in units in the last place, over the whole range of float32."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.engine import cpu

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")

# Every 4099th float of both signs: about a million, in each binade, denormals too.
BITS = np.arange(0, 0x7F800000, 4099, dtype=np.uint32)
FLOATS = np.concatenate([BITS, BITS | np.uint32(0x80000000)]).view(np.float32)


def apply(isa: str, function: str, a: np.ndarray) -> np.ndarray:
    a = np.ascontiguousarray(a, np.float32)
    out = np.empty_like(a)
    cpu._native.unit_wise(isa, function, a.ctypes.data, out.ctypes.data, a.size)
    return out


def ulps(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of the exact result, denormal spacing below the normal range."""
    spacing = np.spacing(np.maximum(np.abs(expected), np.float64(2.0**-126)).astype(np.float32)).astype(np.float64)
    return np.abs(got.astype(np.float64) - expected) / spacing


def sigmoid(a: np.ndarray) -> np.ndarray:
    return np.where(a >= 0, 1 / (1 + np.exp(-np.abs(a))), np.exp(-np.abs(a)) / (1 + np.exp(-np.abs(a))))


def log_sigmoid(a: np.ndarray) -> np.ndarray:
    return np.minimum(a, 0) - np.log1p(np.exp(-np.abs(a)))


EXACT = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": sigmoid, "log_sigmoid": log_sigmoid}
RANGE = {"exp": (-200.0, 88.72), "log": (1e-45, np.inf), "sigmoid": (-87.0, np.inf), "log_sigmoid": (-np.inf, 87.0)}
BOUND = {"exp": 2, "log": 2, "tanh": 5, "sigmoid": 3, "log_sigmoid": 4}


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("function", EXACT)
def test_errors_stay_within_their_bound(function, isa):
    low, high = RANGE.get(function, (-np.inf, np.inf))
    a = FLOATS[(low <= FLOATS) & (high >= FLOATS)]
    error = ulps(apply(isa, function, a), EXACT[function](a.astype(np.float64)))
    worst = int(error.argmax())
    assert error[worst] <= BOUND[function], f"{function}({a[worst]}): {error[worst]:.2f} ULP"


@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_infinities_and_nan_behave_as_in_the_reference(isa):
    inf, nan = np.inf, np.nan
    a = np.array([inf, -inf, nan, 0.0, -0.0], np.float32)
    expected = {
        "exp": [inf, 0, nan, 1, 1],
        "log": [inf, nan, nan, -inf, -inf],
        "tanh": [1, -1, nan, 0, -0.0],
        "sigmoid": [1, 0, nan, 0.5, 0.5],
        "log_sigmoid": [0, -inf, nan, np.log(0.5), np.log(0.5)],
    }
    for function, values in expected.items():
        # sigmoid and tanh saturate a rounding away from 0 and 1.
        np.testing.assert_allclose(apply(isa, function, a), np.float32(values), rtol=3e-7, atol=2e-38, err_msg=function)


@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_saturated_gates_stay_in_their_range(isa):
    assert np.all(np.abs(apply(isa, "tanh", FLOATS)) <= 1)
    assert np.all((apply(isa, "sigmoid", FLOATS) >= 0) & (apply(isa, "sigmoid", FLOATS) <= 1))
