"""The engine's functions beside NumPy's in float64: errors in units in the last place, saturation, signs, NaN.

benchmarks/accuracy.py asks all floats.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from recurra.engine import cpu
from scripts_room import script

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
every_isa = pytest.mark.parametrize("isa", cpu.instruction_sets())

# Every 4099th float of both signs, about a million, in each binade and among the denormal ones; and every 61st from
# 2^-7 to 2^7, where the errors are (a million and a half).
BITS = np.concatenate([np.arange(0, 0x7F800000, 4099), np.arange(0x3C000000, 0x43000000, 61)]).astype(np.uint32)
FLOATS = np.concatenate([BITS, BITS | np.uint32(0x80000000)]).view(np.float32)


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    return script("benchmarks/accuracy.py")


@every_isa
@pytest.mark.parametrize("function", ["exp", "log", "tanh", "sigmoid", "log_sigmoid"])
def test_errors_are_at_most_two_units_and_saturation_is_exact(accuracy, function, isa):
    found = accuracy.worst(function, isa, FLOATS)
    assert found.unlike == 0, f"{function}({found.first_unlike!r}) is no rounded 0, 1 or infinity where it must be"
    assert found.ulps <= 2, f"{function}({found.at!r}): {found.ulps:.3f} ULP"


@every_isa
def test_infinities_zeros_and_nan_give_what_they_must_to_the_bit(accuracy, isa):
    inf = np.inf
    a = np.array([inf, -inf, 0.0, -0.0], np.float32)
    expected = {
        "exp": [inf, 0.0, 1.0, 1.0],
        "log": [inf, np.nan, -inf, -inf],
        "tanh": [1.0, -1.0, 0.0, -0.0],
        "sigmoid": [1.0, 0.0, 0.5, 0.5],
        "log_sigmoid": [0.0, -inf, np.float32(np.log(0.5)), np.float32(np.log(0.5))],
        "log_nonzero": [0.0, 0.0, -inf, -inf],
    }
    for function, values in expected.items():
        found, right = accuracy.apply(isa, function, a), np.float32(values)
        np.testing.assert_array_equal(found, right, err_msg=function)
        numbers = ~np.isnan(right)
        np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(right[numbers]), err_msg=function)


@every_isa
@pytest.mark.parametrize("function", ["exp", "log", "tanh", "sigmoid", "log_sigmoid"])
def test_every_kind_of_nan_stays_nan(accuracy, function, isa):
    """Also those with numbers in their low bits, which integer arithmetic on exponents could make into something."""
    payloads = np.concatenate([np.arange(1, 2**23, 4099), np.arange(1, 512)]).astype(np.uint32) | np.uint32(0x7F800000)
    a = np.concatenate([payloads, payloads | np.uint32(0x80000000)]).view(np.float32)
    assert np.isnan(accuracy.apply(isa, function, a)).all()


@every_isa
def test_tanh_and_its_slope_are_exact_in_saturation(accuracy, isa):
    """From 9.02 on the nearest float is 1, and 1 - y y is 0."""
    a = np.array([9.02, 10.0, 20.0, 1e4, 3e38], np.float32)
    assert accuracy.apply(isa, "tanh", a).tolist() == [1.0] * 5
    assert accuracy.apply(isa, "tanh", -a).tolist() == [-1.0] * 5
    assert accuracy.apply(isa, "sigmoid", a[2:]).tolist() == [1.0] * 3


@every_isa
def test_the_slope_of_tanh_from_its_value_is_as_exact_as_torchs_where_it_saturates(accuracy, isa):
    """1 - y y in float64, from y in float32; half a unit of y is 6.0e-8 in it, which no float avoids."""
    a = np.arange(0x40000000, 0x41200000, 17, dtype=np.uint32).view(np.float32)  # 2 to 10
    exact = 1 - np.tanh(a.astype(np.float64)) ** 2
    mine, torchs = accuracy.apply(isa, "tanh", a), torch.tanh(torch.from_numpy(a)).numpy()
    off, torchs_off = (np.abs(1 - y.astype(np.float64) ** 2 - exact).max() for y in (mine, torchs))
    assert off <= 1.1 * max(torchs_off, 2.0**-24)


@every_isa
def test_the_slope_of_tanh_from_its_value_is_nowhere_off_by_more_than_a_rounding_of_it(accuracy, isa):
    """Half a unit of y in 1/2..1 is 6.0e-8 of the slope; torch is at 5.8e-8 from 0.6 to 2, and at 6.1e-8 above."""
    a = np.arange(0x38000000, 0x41200000, 61, dtype=np.uint32).view(np.float32)  # 2^-15 to 10
    y = accuracy.apply(isa, "tanh", a).astype(np.float64)
    off = np.abs(y**2 - np.tanh(a.astype(np.float64)) ** 2)
    assert off.max() <= (7.1e-8 if isa == "portable" else 6.1e-8)  # without FMA the remainder is rounded too


@every_isa
def test_saturated_gates_stay_in_their_range(accuracy, isa):
    assert np.all(np.abs(accuracy.apply(isa, "tanh", FLOATS)) <= 1)
    assert np.all((accuracy.apply(isa, "sigmoid", FLOATS) >= 0) & (accuracy.apply(isa, "sigmoid", FLOATS) <= 1))


def test_a_dense_sample_has_every_float_of_its_range_once_and_one_in_so_many_of_the_others(accuracy, monkeypatch):
    low, high = 0x3F800000, 0x3F800000 + 200_000  # from 1 on
    monkeypatch.setattr(accuracy, "DENSE", (low, high))
    found = np.concatenate([part.view(np.uint32) for part in accuracy.chunks(1_000_003, dense=True)])
    size = found & np.uint32(0x7FFFFFFF)
    assert np.unique(found).size == found.size
    assert ((size >= low) & (size < high)).sum() == 2 * 200_000
    assert (size < low).sum() == 2 * (low // 1_000_003 + 1)
    assert not np.isnan(found.view(np.float32)).any()
