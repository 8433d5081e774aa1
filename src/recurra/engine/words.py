"""Word vectors from a text by the native engine: skip-gram with negative samples.

Source: Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality": section 2.2
for the loss, 2.3 for words that are left out. The words of a window share their negative samples (Ji et al. 2016,
arXiv:1604.04661), so that a window is three small matrix products.

The result is the same to the last bit for any number of threads: what is drawn is a function of (seed, position), and
the order of all sums and updates is fixed (native/dense/words.h).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.engine import cpu

# Words on one side of a window, and negative samples of one, at most.
WIDEST, MOST = 64, 63
# Windows whose products are made at once, at most.
LARGEST_GROUP: Final = 16
END: Final = -1


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
    apart in one of them, on average.
    """
    there = counts * (1.0 if keep is None else keep / 2.0**32)
    often = there / there.sum() + negatives * counts**power / (counts**power).sum()
    return int(np.clip(1 / often.max(), 1, LARGEST_GROUP))


def _of_2_32(shares: NDArray[np.float64]) -> NDArray[np.uint32]:
    return np.minimum(shares * 2.0**32, 2.0**32 - 1).astype(np.uint32)


def table(V: int, D: int) -> Tensor:
    """(V, D) float32 zeros, whose rows lie as far apart as `skip_gram` wants them, if the native engine is there.

    On torch's default device: there may be an outline without memory.
    """
    return torch.zeros((V, _stride(D)), dtype=torch.float32)[:, :D]


def _stride(D: int) -> int:
    return cast(int, cpu._native.words_stride(cpu.instruction_set(), D)) if cpu.available() else D


def skip_gram(
    tokens: NDArray[np.int32],
    inputs: Tensor,
    outputs: Tensor,
    negative: Distribution,
    *,
    keep: NDArray[np.uint32] | None,
    window: int,
    negatives: int,
    group: int,
    rate: float,
    seed: int,
    position: int,
) -> tuple[float, int]:
    """Go once over a piece of a text, and move the vectors in place.

    tokens: numbers of words, -1 between sentences      inputs, outputs: (V, D), of `table`
    window: words on each side, at most; each window has 1 to `window`, with equal chances
    group: windows whose products are made at once, as `group` says
    rate: 0 moves nothing, and gives the loss alone
    position: of the first token in the whole training, all epochs counted
    Returns the loss in nats, -log sigmoid(x y) and -log sigmoid(-x y) of each pair's right word and of its samples, and
    the number of pairs. Raises ShapeError for tables of another form, and for a number outside them.
    """
    V, D = inputs.shape
    _refuse(tokens, inputs, outputs, negative, keep)
    if not 1 <= window <= WIDEST or not 1 <= negatives <= MOST:
        raise ShapeError(f"expected a window of 1 to {WIDEST} and 1 to {MOST} negatives, got {window} and {negatives}")
    if not 1 <= group <= LARGEST_GROUP:
        raise ShapeError(f"group: expected 1 to {LARGEST_GROUP} windows, got {group}")
    sizes = [len(tokens), V, D, window, negatives, torch.get_num_threads(), group]
    at = [tokens.ctypes.data, inputs.data_ptr(), outputs.data_ptr(), keep.ctypes.data if keep is not None else 0]
    at += [negative.share.ctypes.data, negative.other.ctypes.data]
    return cast("tuple[float, int]", cpu._native.train_words(cpu.instruction_set(), sizes, at, seed, position, rate))


def _refuse(tokens: Any, inputs: Tensor, outputs: Tensor, negative: Distribution, keep: Any) -> None:
    V, D = inputs.shape
    like = (_stride(D), 1)
    for name, one in (("inputs", inputs), ("outputs", outputs)):
        if one.dtype != torch.float32 or not one.is_cpu or one.shape != (V, D) or one.stride() != like:
            raise ShapeError(f"{name}: expected a table of words.table({V}, {D}), got {one.dtype} {tuple(one.shape)}")
    arrays = {"tokens": (tokens, np.int32), "share": (negative.share, np.uint32), "other": (negative.other, np.int32)}
    for name, (array, kind) in (arrays | ({} if keep is None else {"keep": (keep, np.uint32)})).items():
        if (
            array.dtype != kind
            or array.ndim != 1
            or not array.flags.c_contiguous
            or (name != "tokens" and len(array) != V)
        ):
            raise ShapeError(f"{name}: expected {np.dtype(kind)} numbers in a row, got {array.dtype} {array.shape}")
    if len(tokens) and (tokens.min() < END or tokens.max() >= V):
        raise ShapeError(f"tokens: expected numbers from {END} to {V - 1}, got {tokens.min()} to {tokens.max()}")
