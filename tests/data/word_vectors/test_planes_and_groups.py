"""Vectors as points of a plane and in groups: by value, and beside other implementations."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.groups import grouped, k_means
from recurra.data.word_vectors.planes import affinities, divergence, tsne


def clouds(rng: np.random.Generator, number: int = 20, size: int = 5) -> np.ndarray:
    """Three clouds of points, far from one another."""
    centres = np.eye(size)[:3] * 10
    return np.concatenate([centre + rng.normal(0, 0.3, (number, size)) for centre in centres]).astype(np.float32)


def test_each_point_has_as_many_neighbours_as_the_perplexity_says() -> None:
    vectors = clouds(np.random.default_rng(1))
    given = affinities(vectors, 7.0, symmetric=False)
    entropy = -(given * np.log(np.maximum(given, 1e-300))).sum(1)
    np.testing.assert_allclose(np.exp(entropy), 7.0, rtol=1e-3)
    both = affinities(vectors, 7.0)
    np.testing.assert_allclose(both, (given + given.T) / (2 * len(vectors)))


def test_the_gradient_is_that_of_the_divergence() -> None:
    rng = np.random.default_rng(2)
    p, y = affinities(clouds(rng, 4), 3.0), rng.normal(size=(12, 2))
    _, slope = divergence(p, y)
    for n, d in ((0, 0), (5, 1), (11, 0)):
        side = np.zeros_like(y)
        side[n, d] = 1e-6
        by_differences = (divergence(p, y + side)[0] - divergence(p, y - side)[0]) / 2e-6
        assert slope[n, d] == pytest.approx(by_differences, rel=1e-5, abs=1e-9)


def test_clouds_stay_apart_in_the_plane_and_the_map_is_always_the_same() -> None:
    vectors = clouds(np.random.default_rng(3))
    places = tsne(vectors, perplexity=10.0)
    assert np.array_equal(places, tsne(vectors, perplexity=10.0))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    same = np.arange(60)[:, None] // 20 == np.arange(60)[None] // 20
    assert distance[same].max() < distance[~same].min()
    assert tsne(vectors[:2]).shape == (2, 2)  # too few for a perplexity


def test_the_map_fits_as_well_as_that_of_scikit_learn() -> None:
    manifold = pytest.importorskip("sklearn.manifold", reason="needs scikit-learn (pip install recurra[text])")
    vectors = clouds(np.random.default_rng(4))
    theirs = manifold.TSNE(2, perplexity=10.0, init="pca", method="exact", random_state=0).fit(vectors)
    ours = divergence(affinities(vectors, 10.0), tsne(vectors, perplexity=10.0))[0]
    assert ours < theirs.kl_divergence_ * 1.05 + 0.02


def test_k_means_finds_the_clouds_and_lowers_the_squares() -> None:
    vectors = clouds(np.random.default_rng(5))
    of, centres = k_means(vectors, 3)
    assert [len(set(of[k : k + 20].tolist())) for k in (0, 20, 40)] == [1, 1, 1]
    for k in range(3):
        np.testing.assert_allclose(centres[k], vectors[of == k].mean(0), atol=1e-5)
    assert len(k_means(vectors[:2], 5)[1]) == 2  # no more groups than points
    assert len(k_means(np.ones((4, 2), np.float32), 3)[1]) == 1  # nor than different ones


def test_a_group_is_named_after_its_middle_word_and_the_largest_comes_first() -> None:
    rows = [[1, 0.1], [1, 0], [1, -0.1], [0, 1], [0.05, 1], [0, 0]]
    words = WordVectors(["b", "mid", "c", "x", "y", "zero"], np.array(rows, np.float32))
    first, second = grouped(words, 2, among=6)
    assert (first.name, set(first.words)) == ("mid", {"b", "mid", "c"})
    assert set(second.words) == {"x", "y"}  # a vector of zeros is in no group
