"""Trees beside a network: their statistics, their votes, and what they are grown from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import MODELS
from recurra.models.wide import Forest
from recurra.models.wide.forest import statistics
from recurra.training import grown
from recurra.training.forest import NEVER


def by_hand(x: Any) -> Any:
    """The statistics of one series in NumPy, float64."""
    steps = np.abs(np.diff(x, axis=0)) if len(x) > 1 else np.zeros_like(x)
    bounds = [len(x) * k // 4 for k in range(5)]
    quarters = [x[a : max(b, a + 1)].mean(0) for a, b in pairwise(bounds)]
    parts = [x.mean(0), x.std(0), x.min(0), x.max(0), x[0], x[-1], steps.mean(0), steps.max(0), *quarters, [len(x)]]
    return np.concatenate(parts)


def together(series: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(x) for x in series])
    features = torch.full((int(lengths.max()), len(series), series[0].shape[1]), float("nan"))
    for n, x in enumerate(series):
        features[: len(x), n] = torch.from_numpy(x)
    return features, lengths


def test_statistics_are_those_of_numpy_and_a_series_has_the_same_bits_in_any_padding() -> None:
    random = np.random.default_rng(0)
    series = [random.normal(size=(length, 3)).astype(np.float32) for length in (9, 1, 2, 30)]
    found = statistics(*together(series))
    for row, x in zip(found, series, strict=True):
        np.testing.assert_allclose(row, by_hand(x.astype(np.float64)), atol=1e-6)  # float32 of float64
        assert torch.equal(statistics(*together([x]))[0], row)


def test_a_series_without_steps_has_zeros() -> None:
    assert not statistics(torch.ones(4, 1, 2), torch.tensor([0])).any()
    assert statistics(torch.ones(0, 1, 2), torch.tensor([0])).shape == (1, 25)


def walked(found: Any, x: Any, tree: int, depth: int) -> Any:
    node = 0
    for _ in range(depth):
        node = 2 * node + 1 + int(x[found.columns[tree, node]] > found.thresholds[tree, node])
    return found.leaves[tree, node - (2**depth - 1)]


def test_trees_part_what_two_thresholds_part_and_say_each_training_row_right() -> None:
    """Two columns of noise and two that tell: label = (a > 0) + 2 (b > 0)."""
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 4)).astype(np.float32)
    labels = (x[:, 1] > 0) + 2 * (x[:, 2] > 0)
    found = grown(x, labels, np.ones(4, np.float32), trees=30, depth=10)
    votes = np.array([sum(walked(found, row, k, 10) for k in range(30)) for row in x])
    assert (votes.argmax(1) == labels).all()
    new = random.normal(size=(300, 4)).astype(np.float32)
    votes = np.array([sum(walked(found, row, k, 10) for k in range(30)) for row in new])
    assert (votes.argmax(1) == (new[:, 1] > 0) + 2 * (new[:, 2] > 0)).mean() > 0.85
    np.testing.assert_allclose(found.leaves.sum(2)[found.leaves.sum(2) > 0], 1, rtol=1e-6)


def test_equal_rows_are_one_leaf_with_the_weighted_shares_of_their_labels() -> None:
    found = grown(np.ones((4, 2), np.float32), np.array([0, 0, 0, 1]), np.array([1, 3], np.float32), trees=2, depth=3)
    assert (found.thresholds == np.float32(NEVER)).all()
    np.testing.assert_allclose(walked(found, np.ones(2), 0, 3), [0.5, 0.5])


def test_the_votes_of_the_module_are_those_of_a_walk_node_by_node_and_training_sees_the_head_alone() -> None:
    random = np.random.default_rng(2)
    series = [random.normal(size=(int(n), 2)).astype(np.float32) for n in random.integers(1, 12, 40)]
    features, lengths = together(series)
    x, labels = statistics(features, lengths).numpy(), random.integers(0, 3, 40)
    found = grown(x, labels, np.ones(3, np.float32), trees=7, depth=4)
    forest = Forest({"features": 2, "labels": 3}, trees=7, max_depth=4)
    for name in ("columns", "thresholds", "leaves"):
        getattr(forest, name).copy_(torch.from_numpy(getattr(found, name)))
    votes = np.array([sum(walked(found, row, k, 4).astype(np.float64) for k in range(7)) for row in x])
    batch, head = Batch({"features": features}, lengths, {}, ()), {"logits": torch.ones(40, 3)}
    np.testing.assert_allclose(forest.logits(batch), np.log((votes + 1) / 10), rtol=1e-6)
    forest.share.copy_(torch.tensor([2.0, 3.0]))
    said = forest.eval()(batch, head)["logits"]
    np.testing.assert_allclose(said, 2 * np.log((votes + 1) / 10) + 3, atol=1e-5)
    assert forest.train()(batch, head) is head
    assert not [*forest.parameters()]
    one = Batch({"features": features[: lengths[5], 5:6]}, lengths[5:6], {}, ())
    assert torch.equal(forest.logits(one)[0], forest.logits(batch)[5])


def test_a_forest_of_many_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"forest: says one label of each series; set task\.labels: one"):
        MODELS["sequence_model"]({"features": 2, "labels": 3, "many": 1}, inputs="vectors", wide="forest")
