"""Shares of steps above thresholds, by sums over each kernel in float64, and the ridge on them by leaving rows out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import MODELS
from recurra.models.wide import Kernels
from recurra.training import ridge
from recurra.training.ridge import PENALTIES


def drawn(thresholds: int, channels: int, labels: int) -> Kernels:
    """Kernels of any numbers: distances 1, 1, 2, 5, ... with channels of their own."""
    random = np.random.default_rng(0)
    found = Kernels({"features": channels, "labels": labels}, thresholds=thresholds)
    found.distances.copy_(torch.tensor([1, 1, 2, 5][:thresholds]))
    for place in (p for p in (0, 2, 3) if p < thresholds):
        picked = random.integers(0, channels + 1, found.channels.shape[1:])
        found.channels[found.distances == found.distances[place]] = torch.from_numpy(picked)
    for name in ("thresholds", "weight", "bias"):
        tensor = getattr(found, name)
        tensor.copy_(torch.from_numpy(random.normal(size=tensor.shape)))
    return found


def share_above(row: np.ndarray, distance: int, triple: tuple[int, ...], picked: list[int], threshold: float) -> float:
    """One number of one series (T, C), step by step; channel C is none."""
    T, C = row.shape
    above = 0
    for t in range(T):
        y = 0.0
        for j in range(9):
            at = t + (j - 4) * distance
            if 0 <= at < T:
                y += (2 if j in triple else -1) * sum(row[at, c] for c in picked if c < C)
        above += y > threshold
    return above / T if T else 0.0


@pytest.mark.parametrize("channels", [1, 3])
def test_each_number_is_the_share_of_steps_at_which_a_kernel_is_above_its_threshold(channels: int) -> None:
    model = drawn(4, channels, 2)
    random = np.random.default_rng(1)
    lengths = [23, 6, 1, 0]
    features = torch.full((25, 4, channels), torch.nan)
    for n, length in enumerate(lengths):
        features[:length, n] = torch.from_numpy(random.normal(size=(length, channels)))
    found = model.shares(features, torch.tensor(lengths)).view(4, 4, 84).numpy()
    triples = list(combinations(range(9), 3))
    for n, length in enumerate(lengths):
        row = features[:length, n].double().numpy()
        for place, distance in enumerate(model.distances.tolist()):
            for k in range(0, 84, 5):
                picked, threshold = model.channels[place, k].tolist(), float(model.thresholds[place, k])
                expected = share_above(row, distance, triples[k], picked, threshold)
                assert found[n, place, k] == pytest.approx(expected, abs=1e-6), (n, place, k)


def test_logits_are_weighted_shares_beside_the_heads_and_a_row_has_the_same_bits_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = drawn(3, 2, 3)
    features, lengths = torch.randn(12, 5, 2), torch.tensor([12, 3, 7, 0, 12])
    batch, head = Batch({"features": features}, lengths, {}, ()), {"logits": torch.ones(5, 3)}
    z = model.shares(features, lengths).double().numpy()
    alone = z @ model.weight.double().numpy() + model.bias.double().numpy()
    np.testing.assert_allclose(model.logits(batch), alone, rtol=1e-6, atol=1e-5)
    model.share.copy_(torch.tensor([2.0, 3.0]))
    np.testing.assert_allclose(model.eval()(batch, head)["logits"], 2 * alone + 3, rtol=1e-6, atol=2e-5)
    assert model.train()(batch, head) is head
    assert not [*model.parameters()]
    one = Batch({"features": features[:7, 2:3]}, lengths[2:3], {}, ())
    assert torch.equal(model.logits(one)[0], model.logits(batch)[2])
    monkeypatch.setattr("recurra.models.wide.kernels.HELD", 12 * 84 * 2)  # two rows at once
    assert torch.equal(model.shares(features, lengths), torch.from_numpy(z).float())


def by_hand(x: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights of columns and the bias, which has no penalty, by the normal equations."""
    X = np.concatenate([x, np.ones((len(x), 1))], 1)
    P = penalty * np.eye(X.shape[1])
    P[-1, -1] = 0
    found = np.linalg.solve(X.T @ (w[:, None] * X) + P, X.T @ (w[:, None] * y))
    return found[:-1], found[-1]


def test_the_ridge_is_the_one_whose_error_is_least_when_each_row_is_left_out() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(12, 30)) * random.uniform(0.1, 5, 30) + 2
    x[:, 7] = 4.0  # says nothing
    y = np.sign(random.normal(size=(12, 2)) + x[:, :2])
    w = np.array([1.0, 3.0] * 6)
    w /= w.mean()
    shares = w / w.sum()
    deviation = np.sqrt((shares[:, None] * (x - shares @ x) ** 2).sum(0))
    scaled = np.divide(x, deviation, out=np.zeros_like(x), where=deviation > 0)
    errors = []
    for penalty in PENALTIES:
        left = []
        for k in range(12):
            others = np.arange(12) != k
            weight, bias = by_hand(scaled[others], y[others], w[others], penalty)
            left.append(w[k] * (y[k] - scaled[k] @ weight - bias) ** 2)
        errors.append(np.mean(left))
    found = ridge(x, y, w)
    assert found.penalty == PENALTIES[int(np.argmin(errors))]
    assert found.error == pytest.approx(min(errors), rel=1e-6)
    weight, bias = by_hand(scaled, y, w, found.penalty)
    np.testing.assert_allclose(x @ found.weight + found.bias, scaled @ weight + bias, atol=1e-8)
    assert not found.weight[7].any()


def test_kernels_of_many_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"kernels: say one label of each series; set task\.labels: one"):
        MODELS["sequence_model"]({"features": 2, "labels": 3, "many": 1}, inputs="vectors", wide="kernels")
