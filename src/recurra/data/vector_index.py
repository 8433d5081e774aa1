"""Vectors of length 1 with their names, kept in one file, and the nearest of them to another.

A safetensors file: the vectors, and as its metadata whose vectors they are and what each stands for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.atomic import replacing
from recurra.base.errors import RunError
from recurra.base.optional import needs

Vectors = NDArray[np.float32]
FORMAT = "recurra-vectors-1"
# Vectors from which on an approximate search is worth its building; numbers of its graph (Malkov & Yashunin 2018,
# arXiv:1603.09320): links of a node, and how widely it looks while building and while asked.
MANY, LINKS, BUILD, ASK = 100_000, 16, 100, 100


@dataclass(frozen=True, slots=True, eq=False)
class VectorIndex:
    """vectors: (N, D), each of length 1      entries: of each its name, and what tells whether it is still the same

    owner: the fingerprint of the model that made the vectors
    """

    vectors: Vectors
    entries: tuple[tuple[str, int, int], ...]
    owner: str

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.entries]

    def nearest(self, query: Vectors, number: int) -> list[tuple[int, float]]:
        """The places of the most alike to a vector (D,) with their cosines, the best first; equal ones in order."""
        alike = self.vectors @ query
        some = np.argpartition(-alike, number - 1)[:number] if number < len(alike) else np.arange(len(alike))
        if len(some):  # of those as alike as the last one, the first
            last = alike[some].min()
            some = np.flatnonzero(alike >= last)
        order = sorted(some.tolist(), key=lambda k: (-alike[k], k))[:number]
        return [(k, float(alike[k])) for k in order]

    def write(self, path: Path) -> None:
        """Write it whole, or not at all. Raises RunError where it cannot be written."""
        from safetensors.numpy import save

        told = {"format": FORMAT, "owner": self.owner, "entries": json.dumps(self.entries)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(save({"vectors": np.ascontiguousarray(self.vectors)}, told))
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}.") from None


def read_index(path: Path) -> VectorIndex:
    """An index from its file. Raises RunError for what is none, or is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            told = file.metadata() or {}
            vectors = np.asarray(file.get_tensor("vectors"))
        entries = tuple((str(name), int(size), int(time)) for name, size, time in json.loads(told["entries"]))
        if told["format"] != FORMAT or vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(entries):
            raise ValueError("its vectors and names do not agree")
        if not np.isfinite(vectors).all():
            raise ValueError("it holds what is no finite number")
        return VectorIndex(vectors, entries, str(told["owner"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(
            f"{path}: is no index of pictures that can be read: {str(error)[:120].rstrip('.')}. Remove it, to build it "
            "anew."
        ) from None


class ApproximateSearch:
    """The nearest vectors by a graph of neighbours, which may miss some (hnswlib, `recurra[search]`)."""

    def __init__(self, vectors: Vectors) -> None:
        """Builds the graph. Raises ConfigError without hnswlib."""
        hnswlib: Any = needs("hnswlib", "search", "an approximate search")
        self._graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._graph.init_index(max_elements=len(vectors), ef_construction=BUILD, M=LINKS, random_seed=1)
        self._graph.add_items(vectors, num_threads=1)

    def nearest(self, query: Vectors, number: int) -> list[tuple[int, float]]:
        """As `VectorIndex.nearest`, nearly."""
        self._graph.set_ef(max(ASK, 2 * number))
        places, away = self._graph.knn_query(query[None], k=number, num_threads=1)
        return [(int(k), 1.0 - float(d)) for k, d in zip(places[0], away[0], strict=True)]


def unchanged(old: VectorIndex, entries: Sequence[tuple[str, int, int]]) -> dict[str, int]:
    """The places of those entries whose name, size and time are what they were."""
    known = {entry: place for place, entry in enumerate(old.entries)}
    return {entry[0]: known[entry] for entry in entries if entry in known}
