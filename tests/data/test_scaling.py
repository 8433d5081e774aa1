"""Scales of features against NumPy's own mean and deviation in float64."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data.scaling import Scaler


def series(seed: int, *lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n, 3)) * [1, 1e3, 1e-3] + [0, 1e6, 5]).astype(np.float32) for n in lengths]


def test_standard_scales_are_those_of_all_steps_together() -> None:
    some = series(1, 5, 1, 40)
    whole = np.concatenate(some).astype(np.float64)
    scaler = Scaler.fit("standard", iter(some), 3)
    np.testing.assert_allclose(scaler.shift, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale, whole.std(0), rtol=1e-9)
    scaled = np.concatenate([scaler(one) for one in some])
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-9)


def test_missing_numbers_count_in_no_scale_and_stay_missing() -> None:
    (one,) = series(2, 30)
    holes = one.copy()
    holes[::3, 1] = np.nan
    scaler = Scaler.fit("standard", [holes], 3)
    np.testing.assert_allclose(scaler.shift[1], np.nanmean(holes[:, 1].astype(np.float64)), rtol=1e-12)
    assert np.isnan(scaler(holes)[::3, 1]).all()
    nothing = Scaler.fit("standard", [np.full((4, 1), np.nan)], 1)
    assert (nothing.shift.tolist(), nothing.scale.tolist()) == ([0.0], [1.0])


def test_a_series_can_be_scaled_by_itself_whatever_the_training_data_was() -> None:
    one, other = series(3, 20, 30)
    scaler = Scaler.fit("series", [one], 3)
    exact = other.astype(np.float64)
    np.testing.assert_allclose(scaler(other), (exact - exact.mean(0)) / exact.std(0), rtol=1e-9)


@pytest.mark.parametrize("value", [0.1, 1e30, -7.0])
@pytest.mark.parametrize("how", ["standard", "series"])
def test_numbers_that_are_all_the_same_become_zero_and_are_named(how: str, value: float) -> None:
    same = np.full((50, 1), value, np.float32)
    scaler = Scaler.fit(how, [same, same], 1)  # type: ignore[arg-type]
    assert scaler(same).tolist() == [[0.0]] * 50
    assert scaler.constant == ((0,) if how == "standard" else ())


def test_numbers_with_a_deviation_of_one_are_not_taken_for_ones_that_are_all_the_same() -> None:
    scaler = Scaler.fit("standard", [np.array([[-1.0, 3.0], [1.0, 3.0]])], 2)
    assert scaler.scale.tolist() == [1.0, 1.0]
    assert scaler.constant == (1,)


def test_a_scaler_survives_its_json_and_refuses_what_is_none() -> None:
    scaler = Scaler.fit("standard", series(4, 9), 3)
    again = Scaler.from_json(scaler.to_json())
    assert again.shift.tolist() == scaler.shift.tolist()
    for broken in ({"scale": [0.0] * 3}, {"scale": [1.0]}, {"shift": [float("nan")] * 3}, {"how": "fast"}):
        with pytest.raises(ValueError, match="scaling"):
            Scaler.from_json({**scaler.to_json(), **broken})
