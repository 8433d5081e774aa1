"""GloVe by the native engine: how often words stand together, and vectors whose products are the logarithms of it.

Source: Pennington, Socher and Manning 2014, "GloVe: Global Vectors for Word Representation": section 3 for counts,
weights by distance and f(x), section 4.2 for AdaGrad (Duchi, Hazan and Singer 2011) and for the sum of both vectors.

The result is the same to the last bit for any number of threads and any bound of memory: counts are sums of whole
numbers, and the pairs of a batch are in parts that share no row and no column (native/dense/glove_job.h).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import DataError, ShapeError
from recurra.engine import cpu
from recurra.engine.words import END, WIDEST, table

# Rows and columns are divided into so many parts (native/dense/glove_job.h).
PARTS = 8
# Numbers of 32 bits for a pair: row, column, and, as float32, ln x and f(x).
FIELDS = 4


class Pairs(NamedTuple):
    """Pairs of words of one stratum. pairs: (N, 4) int32, the last two float32's bits; begins: (9,), of the parts"""

    pairs: NDArray[np.int32]
    begins: NDArray[np.int64]


def cooccurrences(
    pieces: Iterable[NDArray[np.int32]],
    *,
    V: int,
    tokens: int,
    window: int,
    folder: Path,
    memory: int,
    most: int,
    seed: int,
    symmetric: bool = True,
    weighted: bool = True,
    x_max: float = 100.0,
    alpha: float = 0.75,
) -> Iterator[Pairs]:
    """All pairs that stand together in a text, at most `most` at a time, in an order that looks random.

    pieces: numbers of words, -1 behind each text; a text may go on in the next piece      tokens: how many in all
    window: words on each side, or, if not `symmetric`, on the left alone
    weighted: a pair that is d words apart counts as 1/d, otherwise as 1
    folder: where sorted counts go that are more than `memory` bytes hold
    x_max, alpha: f(x) is (x / x_max)^alpha below x_max, and 1 from there on (equation 9)
    Raises ShapeError for a number outside, DataError where the folder cannot be written.
    """
    if not 1 <= window <= WIDEST or V < 1 or most < 1:
        raise ShapeError(f"expected a window of 1 to {WIDEST}, words and pairs, got {window}, {V} and {most}")
    native = cpu._native
    try:
        counted = native.Cooccurrences(str(folder), V, window, symmetric, weighted, tokens, memory, seed)
        for piece in pieces:
            if piece.dtype != np.int32 or not piece.flags.c_contiguous:
                raise ShapeError(f"pieces: expected int32 numbers in a row, got {piece.dtype}")
            if len(piece) and (piece.min() < END or piece.max() >= V):
                raise ShapeError(f"pieces: expected numbers from {END} to {V - 1}, got {piece.min()} to {piece.max()}")
            counted.add(piece.ctypes.data, len(piece))
        counted.finish()
        while True:
            pairs, begins = np.empty((most, FIELDS), np.int32), np.empty(PARTS + 1, np.int64)
            found = counted.read(pairs.ctypes.data, most, begins.ctypes.data, x_max, alpha)
            if not found:
                return
            yield Pairs(pairs[:found], begins)
    except ShapeError:
        raise
    except RuntimeError as error:
        raise DataError(f"{folder}: counts of words cannot be kept there: {error}.") from None


class Tables(NamedTuple):
    """words, others: (V, D + 1), vectors and their biases      word_squares, other_squares: AdaGrad's, from zeros"""

    words: Tensor
    others: Tensor
    word_squares: Tensor
    other_squares: Tensor


def learn(some: Pairs, tables: Tables, *, rate: float) -> float:
    """Go once over the pairs, and move the tables in place. The loss: half of f(x) (w c + b + b' - ln x)^2, summed.

    tables: of `words.table(V, D + 1)`; rate: 0 moves nothing, and gives the loss alone
    A step is rate * gradient / sqrt(1 + sum of squared steps before), as the authors' program has it.
    Raises ShapeError for tables of another form, and for pairs outside them.
    """
    V, width = tables.words.shape
    like = table(0, width).stride()
    for name, one in tables._asdict().items():
        if one.dtype != torch.float32 or not one.is_cpu or one.shape != (V, width) or one.stride() != like:
            raise ShapeError(
                f"{name}: expected a table of words.table({V}, {width}), got {one.dtype} {tuple(one.shape)}"
            )
    _refuse(some, V)
    at = [some.pairs.ctypes.data, some.begins.ctypes.data, *(one.data_ptr() for one in tables)]
    threads = torch.get_num_threads()
    return cast(float, cpu._native.train_glove(cpu.instruction_set(), at, width - 1, rate, rate != 0, threads))


def _refuse(some: Pairs, V: int) -> None:
    pairs, begins = some
    fits = pairs.dtype == np.int32 and pairs.ndim == 2 and pairs.shape[1] == FIELDS and pairs.flags.c_contiguous
    ends: Any = begins.tolist() if begins.dtype == np.int64 and begins.shape == (PARTS + 1,) else []
    if not fits or not ends or ends[0] != 0 or ends[-1] != len(pairs) or ends != sorted(ends):
        raise ShapeError(
            f"pairs: expected (N, {FIELDS}) int32 in {PARTS} parts, got {pairs.dtype} {pairs.shape}, {ends}"
        )
    if len(pairs) and (pairs[:, :2].min() < 0 or pairs[:, :2].max() >= V):
        raise ShapeError(f"pairs: expected words from 0 to {V - 1}, got {pairs[:, :2].min()} to {pairs[:, :2].max()}")
