"""What kernels take from training series: distances, which numbers they read, and thresholds, by value."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.base.contracts import Origin, Record
from recurra.data.scaling import Scaler
from recurra.models.wide import Kernels
from recurra.models.wide.kernels import TRIPLES
from recurra.tasks import SeriesClassification, SeriesClassificationConfig
from recurra.tasks.series_classification.kernels import solve_kernels
from recurra.tasks.series_reader import SeriesReader


def test_distances_reach_over_a_series_and_thresholds_are_quantiles_of_what_kernels_give() -> None:
    x = np.random.default_rng(0).normal(size=(33, 1)).astype(np.float32)
    task = SeriesClassification(
        SeriesClassificationConfig(values="x"),
        SeriesReader(Scaler.fit("none", [x], 1), "refuse", None, "start"),
        ("a", "b"),
        None,
    )
    one = task.example(Record({"x": x.tolist(), "label": "a"}, Origin("t")))
    kernels = Kernels({"features": 1, "labels": 2}, thresholds=64)
    assert solve_kernels(kernels, task, [one]) == 1
    # Two thresholds at each of 32 exponents from 1 to (33 - 1) / 8 = 4, rounded down.
    expected = [int(4.0 ** (k // 2 / 31) + 1e-9) for k in range(64)]
    assert kernels.distances.tolist() == expected
    assert not kernels.channels.any()
    for place in (0, 30, 63):
        for k in (0, 41, 83):
            distance, own = expected[place], []
            for t in range(33):
                steps = [t + (j - 4) * distance for j in range(9)]
                weights = [2 if j in TRIPLES[k] else -1 for j in range(9)]
                own.append(sum(w * float(x[s, 0]) for w, s in zip(weights, steps, strict=True) if 0 <= s < 33))
            share = ((place * 84 + k + 1) * (1 + 5**0.5) / 2) % 1
            assert float(kernels.thresholds[place, k]) == pytest.approx(np.quantile(own, share), abs=1e-5)
