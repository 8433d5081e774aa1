"""Vectors in one file, and the nearest of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.base.errors import RunError
from recurra.data.vector_index import ApproximateSearch, VectorIndex, read_index, unchanged


def index(number: int = 50, size: int = 4) -> VectorIndex:
    vectors = np.random.default_rng(1).normal(size=(number, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return VectorIndex(vectors, tuple((f"{k}.png", k, 2 * k) for k in range(number)), "me")


def test_the_nearest_are_those_of_a_full_sort():
    made = index()
    query = made.vectors[7]
    found = made.nearest(query, 5)
    expected = np.argsort(-(made.vectors @ query), kind="stable")[:5]
    assert [k for k, _ in found] == expected.tolist()
    assert found[0] == (7, pytest.approx(1.0, abs=1e-6))
    assert len(made.nearest(query, 500)) == 50


def test_equal_ones_come_in_order():
    made = VectorIndex(np.ones((9, 1), np.float32), tuple((str(k), 0, 0) for k in range(9)), "me")
    assert [k for k, _ in made.nearest(np.ones(1, np.float32), 3)] == [0, 1, 2]


def test_a_file_holds_what_was_written(tmp_path: Path):
    made = index()
    made.write(tmp_path / "deep" / "a.safetensors")
    found = read_index(tmp_path / "deep" / "a.safetensors")
    assert (found.entries, found.owner) == (made.entries, "me")
    np.testing.assert_array_equal(found.vectors, made.vectors)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_files_that_are_no_index_are_named(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    index().write(path)
    raw = path.read_bytes()
    for bad in (b"", b"hello", raw[:-10], raw.replace(b"recurra-vectors-1", b"recurra-vectors-9")):
        path.write_bytes(bad)
        with pytest.raises(RunError, match="Remove it, to build it anew"):
            read_index(path)


def test_only_what_is_the_same_is_kept():
    made = index(4)
    assert unchanged(made, [("1.png", 1, 2), ("2.png", 9, 4), ("new.png", 1, 1)]) == {"1.png": 1}


def test_a_graph_of_neighbours_finds_nearly_what_an_exact_search_does():
    pytest.importorskip("hnswlib", reason="an approximate search needs hnswlib (recurra[search])")
    made = index(2000, 16)
    graph = ApproximateSearch(made.vectors)
    found = [(graph.nearest(query, 10), made.nearest(query, 10)) for query in made.vectors[:50]]
    assert np.mean([len({k for k, _ in near} & {k for k, _ in right}) / 10 for near, right in found]) > 0.95
    for near, right in found:
        assert near[0] == (right[0][0], pytest.approx(right[0][1], abs=1e-6))
    assert len(graph.nearest(made.vectors[0], 2000)) == 2000
