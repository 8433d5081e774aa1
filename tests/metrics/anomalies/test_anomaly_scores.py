"""Scores of anomaly detection against loops from the papers, and figures of the published packages."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from oracles import anomalies as oracle
from recurra.metrics.anomalies import affiliation, anomaly_scores, mean_scores, period, range_scores, volumes

# TSB-AD at 8763009 (volumes, ranges), affiliation-metrics-py at 8d84498, scikit-learn 1.9.1; measured once.
GOLDEN = {
    "vus_pr": 0.6441036422108467,
    "vus_roc": 0.8381245491322413,
    "auc_pr": 0.5346815433819125,
    "auc_roc": 0.7496235907605302,
    "range_precision": 0.33613445378151263,
    "range_recall": 0.3655172413793104,
    "range_f1": 0.3502106219542414,
    "affiliation_precision": 0.7047600544365213,
    "affiliation_recall": 0.9734721233235869,
    "affiliation_f1": 0.8176035184138094,
}


def labelled(seed: int, T: int = 120) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Ranges of every kind, at both ends too, close together, and scores with ties."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(T, bool)
    for start in rng.integers(0, T, 1 + seed % 6):
        labels[start : start + int(rng.integers(1, 12))] = True
    labels[0] |= seed % 3 == 0
    labels[-1] |= seed % 4 == 0
    return labels, np.round(rng.normal(size=T) + labels, seed % 3)


@pytest.mark.parametrize("seed", range(6))
def test_volumes_are_those_of_the_paper(seed: int) -> None:
    labels, scores = labelled(seed, T=70)
    found = volumes(labels, scores, seed * 2)
    assert (found.pr, found.roc) == pytest.approx(oracle.volumes(labels, scores, seed * 2), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_ranges_are_those_of_the_paper(seed: int) -> None:
    labels, scores = labelled(seed)
    flags = scores > np.quantile(scores, 0.6 + seed / 40)
    found = range_scores(labels, flags)
    assert (found.precision, found.recall) == pytest.approx(oracle.range_scores(labels, flags), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_affiliation_is_that_of_the_paper(seed: int) -> None:
    labels, scores = labelled(seed, T=60)
    flags = scores > np.quantile(scores, 0.6 + seed / 40)
    found = affiliation(labels, flags)
    # Sums over 64 moments a step are off by less than the square of a moment.
    assert (found.precision, found.recall) == pytest.approx(oracle.affiliation(labels, flags), abs=5e-4)


def test_figures_are_those_of_the_published_packages() -> None:
    t = np.arange(400)
    labels = (t % 130 > 100) & (t < 390)
    scores = np.sin(t * 0.37) + np.cos(t * 0.11) ** 2 + labels * 0.8
    flags = scores > 1.5
    found = {one.name: one.value for one in anomaly_scores(labels, scores, flags, 40)}
    assert found == pytest.approx(GOLDEN, abs=1e-12)


def test_perfect_scores_and_flags_have_the_best_value() -> None:
    labels = np.zeros(300, bool)
    labels[100:130] = labels[200:205] = True
    found = {one.name: one.value for one in anomaly_scores(labels, labels.astype(float), labels, 0)}
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=1e-9)


def test_nothing_flagged_is_nothing_found() -> None:
    labels = np.arange(50) == 7
    none = np.zeros(50, bool)
    for found in (range_scores(labels, none), affiliation(labels, none)):
        assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)


def test_without_a_label_nothing_can_be_said() -> None:
    for labels in (np.zeros(9, bool), np.ones(9, bool)):
        with pytest.raises(ValueError, match="expected labelled points and others"):
            anomaly_scores(labels, np.arange(9.0), None, 3)


def test_the_mean_over_series_is_one_of_scores() -> None:
    labels, scores = labelled(1)
    one, other = anomaly_scores(labels, scores, None, 5), anomaly_scores(labels, -scores, None, 5)
    assert [s.value for s in mean_scores([one, other])] == pytest.approx(
        [(a.value + b.value) / 2 for a, b in zip(one, other, strict=True)]
    )


def test_a_series_repeats_itself_at_the_lag_of_its_highest_peak() -> None:
    t = np.arange(2000)
    assert period(np.sin(2 * np.pi * t / 48)) == 48
    assert period(np.ones(500)) == 125
    assert period(np.arange(3.0)) == 125


def test_a_score_that_is_no_number_leaves_no_area() -> None:
    labels, scores = labelled(0)
    scores[7] = np.nan
    found = {one.name: one.value for one in anomaly_scores(labels, scores, scores > 1, 10)}
    assert all(np.isnan(found[name]) for name in ("vus_pr", "vus_roc", "auc_pr", "auc_roc"))
    assert np.isfinite(found["range_f1"])
