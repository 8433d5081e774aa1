"""Word vectors from a text by the native engine: skip-gram or CBOW, with negative samples or hierarchical softmax.

Sources: Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality": section 2.1
for the tree, 2.2 for negative samples, 2.3 for words that are left out; "Efficient Estimation of Word Representations
in Vector Space", section 3.1, for CBOW. The words of a window share their negative samples (Ji et al. 2016,
arXiv:1604.04661), so that a window is three small matrix products.

The result is the same to the last bit for any number of threads: what is drawn is a function of (seed, position), and
the order of all sums and updates is fixed (native/dense/words.h).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.engine import cpu
from recurra.engine.teams import Team

# Words on one side of a window, and negative samples of one, at most.
WIDEST, MOST = 64, 63
# Windows whose products are made at once, at most.
LARGEST_GROUP: Final = 16
END: Final = -1
# The bits do not depend on the number of threads, so that the faster one is taken.
TEAM: Final = Team()


class Distribution(NamedTuple):
    """Numbers drawn with given shares, by Walker's aliases (1977): a draw chooses a place, and it or its alias."""

    share: NDArray[np.uint32]
    other: NDArray[np.int32]


def distribution(weights: NDArray[np.float64]) -> Distribution:
    """weights: (V,), not negative, not all zero; of word2vec: counts to the power of 0.75."""
    scaled = weights / weights.sum() * len(weights)
    share, other = np.ones(len(weights)), np.arange(len(weights), dtype=np.int32)
    small, large = list(np.flatnonzero(scaled < 1)), list(np.flatnonzero(scaled >= 1))
    while small and large:
        few, many = small.pop(), large.pop()
        share[few], other[few] = scaled[few], many
        scaled[many] -= 1 - scaled[few]
        (small if scaled[many] < 1 else large).append(many)
    return Distribution(_of_2_32(share), other)


class Bags(NamedTuple):
    """Which rows make a word. begins: (V + 1,), where the rows of each word begin in `rows`"""

    begins: NDArray[np.int64]
    rows: NDArray[np.int32]


class Tree(NamedTuple):
    """A binary tree over V words. begins: (V + 1,), where the path of each word begins in `paths`

    paths: the inner nodes from the root, each times 2, plus 1 where the path goes to the right (code 1)
    """

    begins: NDArray[np.int32]
    paths: NDArray[np.int32]


def huffman(counts: NDArray[np.int64]) -> Tree:
    """The tree in which frequent words have short paths. counts: (V,), V of at least 2

    Of equally frequent nodes the one that was made first is joined first; the less frequent of two is on the left.
    Source: Huffman 1952, "A Method for the Construction of Minimum-Redundancy Codes".
    Raises ShapeError for one word, and where a path is longer than the engine takes.
    """
    V = len(counts)
    if V < 2:
        raise ShapeError(f"tree: expected at least 2 words, got {V}.")
    heap = [(int(count), k) for k, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, code = np.zeros(2 * V - 1, np.int64), np.zeros(2 * V - 1, np.int32)
    for node in range(V, 2 * V - 1):
        (few, left), (many, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left] = parent[right] = node
        code[right] = 1
        heapq.heappush(heap, (few + many, node))
    paths: list[int] = []
    begins = [0]
    for word in range(V):
        path, node = [], word
        while node != 2 * V - 2:
            path.append(2 * (int(parent[node]) - V) + int(code[node]))
            node = int(parent[node])
        paths += reversed(path)
        begins.append(len(paths))
    if (longest := int(np.diff(begins).max())) > MOST + 1:
        raise ShapeError(f"tree: expected paths of at most {MOST + 1} nodes, got {longest}; leave out rare words.")
    return Tree(np.array(begins, np.int32), np.array(paths, np.int32))


def kept(counts: NDArray[np.int64], sample: float, formula: str = "code") -> NDArray[np.uint32] | None:
    """How often each word stays in the text, of 2^32; None where all do.

    sample: t; 0 keeps all words. formula: `code`, sqrt(t / f) + t / f, as the program of the authors computes; `paper`,
    sqrt(t / f), as section 2.3 says. f is a word's share of the text
    Raises ValueError for another formula.
    """
    if not sample:
        return None
    ratio = sample * counts.sum() / counts
    if formula not in ("code", "paper"):
        raise ValueError(f"formula: expected code or paper, got '{formula}'")
    return _of_2_32(np.sqrt(ratio) + (ratio if formula == "code" else 0))


def group(counts: NDArray[np.int64], keep: NDArray[np.uint32] | None, negatives: int, power: float = 0.75) -> int:
    """How many windows may have their products made at once.

    Within a group no window sees what another one has moved, so a word that is in many of them is moved too far: with
    37 words and 16 windows, vectors grew beyond all bounds. So many windows, then, that the most frequent word is told
    apart in one of them, on average. The root of a tree is in all of them: there it is one.
    """
    there = counts * (1.0 if keep is None else keep / 2.0**32)
    often = there / there.sum() + negatives * counts**power / (counts**power).sum()
    return int(np.clip(1 / often.max(), 1, LARGEST_GROUP))


def _of_2_32(shares: NDArray[np.float64]) -> NDArray[np.uint32]:
    return np.minimum(shares * 2.0**32, 2.0**32 - 1).astype(np.uint32)


def table(V: int, D: int) -> Tensor:
    """(V, D) float32 zeros, whose rows lie as far apart as `learn` wants them, if the native engine is there.

    On torch's default device: there may be an outline without memory.
    """
    return torch.zeros((V, _stride(D)), dtype=torch.float32)[:, :D]


def _stride(D: int) -> int:
    return cast(int, cpu._native.words_stride(cpu.instruction_set(), D)) if cpu.available() else D


def learn(
    tokens: NDArray[np.int32],
    inputs: Tensor,
    outputs: Tensor,
    told: Distribution | Tree,
    *,
    keep: NDArray[np.uint32] | None,
    window: int,
    group: int,
    rate: float,
    seed: int,
    position: int,
    negatives: int = 0,
    cbow: bool = False,
    dynamic: bool = True,
    bags: Bags | None = None,
) -> tuple[float, int]:
    """Go once over a piece of a text, and move the vectors in place.

    tokens: numbers of words, -1 between sentences      inputs: (V, D), of `table`
    told: how a word is told from others: by `negatives` samples of a distribution, outputs (V, D); or by the path to it
      in a tree, outputs (V - 1, D)
    bags: skip-gram alone: a word is the mean of several rows of inputs, (R, D), each of which moves by the gradient of
      the mean, as fastText's program does (Bojanowski et al. 2017)
    window: words on each side, at most; each window has 1 to `window`, with equal chances, or, if not `dynamic`, all
    cbow: the mean of the words around is what a word is told by; otherwise each of them (skip-gram)
    group: windows whose products are made at once, as `group` says
    rate: 0 moves nothing, and gives the loss alone
    position: of the first token in the whole training, all epochs counted
    Returns the loss in nats, -log sigmoid(x y) and -log sigmoid(-x y) of the right and the wrong answers of each pair,
    and the number of pairs. Raises ShapeError for tables of another form, and for a number outside them.
    """
    V, D = len(bags.begins) - 1 if bags else len(inputs), inputs.shape[1]
    tree = told if isinstance(told, Tree) else None
    arrays: dict[str, tuple[Any, type, int | None]] = {"tokens": (tokens, np.int32, None)}
    if tree is not None:
        negatives = int(np.diff(tree.begins).max(initial=1)) - 1
        arrays |= {"begins": (tree.begins, np.int32, V + 1), "paths": (tree.paths, np.int32, None)}
    else:
        arrays |= {"share": (told[0], np.uint32, V), "other": (told[1], np.int32, V)}
    if keep is not None:
        arrays["keep"] = (keep, np.uint32, V)
    if bags is not None:
        _refuse_bags(bags, len(inputs), cbow)
        arrays |= {"bag_begins": (bags.begins, np.int64, V + 1), "bags": (bags.rows, np.int32, None)}
    tables = {"inputs": (inputs, len(inputs)), "outputs": (outputs, V - (tree is not None))}
    _refuse(tables, V, D, arrays)
    if not 1 <= window <= WIDEST or not (tree is not None or 1 <= negatives <= MOST):
        raise ShapeError(f"expected a window of 1 to {WIDEST} and 1 to {MOST} negatives, got {window} and {negatives}")
    if not 1 <= group <= LARGEST_GROUP:
        raise ShapeError(f"group: expected 1 to {LARGEST_GROUP} windows, got {group}")
    at = [tokens.ctypes.data, inputs.data_ptr(), outputs.data_ptr()]
    at += [array.ctypes.data if (array := arrays.get(name, (None,))[0]) is not None else 0 for name in _ADDRESSES]

    def work(threads: int) -> tuple[float, int]:
        sizes = [len(tokens), V, D, window, negatives, threads, group, int(cbow), int(not dynamic)]
        found = cpu._native.train_words(cpu.instruction_set(), sizes, at, seed, position, rate)
        return cast("tuple[float, int]", found)

    return TEAM.run(torch.get_num_threads(), len(tokens), work)


_ADDRESSES = ("keep", "share", "other", "begins", "paths", "bag_begins", "bags")


def _refuse_bags(bags: Bags, rows: int, cbow: bool) -> None:
    begins, named = bags
    if cbow:
        raise ShapeError("bags: expected skip-gram, got CBOW")
    if not len(begins) or begins[0] != 0 or begins[-1] != len(named) or (np.diff(begins) < 1).any():
        raise ShapeError(f"bags: expected at least one row for each word, in order, and {len(named)} in all")
    if named.min(initial=0) < 0 or named.max(initial=-1) >= rows:
        raise ShapeError(f"bags: expected rows from 0 to {rows - 1}, got {named.min()} to {named.max()}")


def _refuse(
    tables: Mapping[str, tuple[Tensor, int]],
    V: int,
    D: int,
    arrays: Mapping[str, tuple[Any, type, int | None]],
) -> None:
    like = (_stride(D), 1)
    for name, (one, rows) in tables.items():
        if one.dtype != torch.float32 or not one.is_cpu or one.shape != (rows, D) or one.stride() != like:
            raise ShapeError(
                f"{name}: expected a table of words.table({rows}, {D}), got {one.dtype} {tuple(one.shape)}"
            )
    for name, (array, kind, length) in arrays.items():
        fits = array.dtype == kind and array.ndim == 1 and array.flags.c_contiguous
        if not fits or (length is not None and len(array) != length):
            raise ShapeError(f"{name}: expected {np.dtype(kind)} numbers in a row, got {array.dtype} {array.shape}")
    tokens = arrays["tokens"][0]
    if len(tokens) and (tokens.min() < END or tokens.max() >= V):
        raise ShapeError(f"tokens: expected numbers from {END} to {V - 1}, got {tokens.min()} to {tokens.max()}")
