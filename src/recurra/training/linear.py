"""A linear model of sparse rows, solved: the convex losses of it have one minimum, which needs no rate and no epochs.

Source: L-BFGS, Liu and Nocedal 1989; the rows' products are those of `embedding_bag`, which every build of torch has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# logits (N, C) float64 and which rows they are of -> the sum of their losses.
RowLoss = Callable[[Tensor, Tensor], Tensor]

# Evaluations of the loss; on public data sets 20 to 60 bring the gradient under GRADIENT.
STEPS, GRADIENT = 100, 1e-6
# What a choice between strengths needs, in half as many evaluations.
CHOICE = 1e-4
# Rows for each fold that choose the strength of the penalty; more tell no more, and take longer.
FOLDS, MOST_ROWS = 4, 4000


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A matrix (N, B) of few numbers. starts: (N + 1,) where each row begins in ids and values"""

    ids: Tensor
    values: Tensor
    starts: Tensor
    width: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def times(self, weight: Tensor) -> Tensor:
        """X W, of W (B, C), in float32."""
        return F.embedding_bag(self.ids, weight, self.starts[:-1], mode="sum", per_sample_weights=self.values)

    def transposed(self) -> SparseRows:
        """X^T, its rows in order."""
        lengths = self.starts.diff()
        rows = torch.repeat_interleave(torch.arange(len(self)), lengths)
        order = torch.argsort(self.ids, stable=True)
        starts = torch.zeros(self.width + 1, dtype=torch.int64)
        starts[1:] = torch.bincount(self.ids, minlength=self.width).cumsum(0)
        return SparseRows(rows[order], self.values[order], starts, len(self))

    def some(self, rows: Tensor) -> SparseRows:
        """These rows, in this order."""
        lengths = self.starts.diff()[rows]
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        places = torch.arange(int(starts[-1])) + torch.repeat_interleave(self.starts[rows] - starts[:-1], lengths)
        return SparseRows(self.ids[places], self.values[places], starts, self.width)


class Convex:
    """The sum of losses of X W + b, which has one minimum for each strength of a penalty on squares of W.

    x: the rows that are learned from, which are `rows` (N,) of what `loss` knows
    """

    def __init__(self, x: SparseRows, rows: Tensor, *, labels: int, loss: RowLoss) -> None:
        self._width, self._labels, self._rows, self._loss = x.width, labels, rows, loss
        self._used, ids = torch.unique(x.ids, return_inverse=True)
        self._x = SparseRows(ids, x.values, x.starts, len(self._used))
        self._back, self._number = self._x.transposed(), max(len(x), 1)
        self._found = torch.zeros((len(self._used) + 1) * labels, dtype=torch.float64, requires_grad=True)

    def solve(self, l2: float, gradient: float = GRADIENT) -> tuple[Tensor, Tensor]:
        """W (B, C) and b (C,) where no slope of the mean loss is over `gradient`; starts where the last call ended."""
        found = self._found
        optimizer = torch.optim.LBFGS(
            [found],
            max_iter=STEPS,
            max_eval=STEPS,
            tolerance_grad=gradient,
            tolerance_change=1e-12,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
        optimizer.step(lambda: self._evaluate(l2 / self._number))  # type: ignore[no-untyped-call]
        both = found.detach().view(-1, self._labels)
        weight = torch.zeros(self._width, self._labels, dtype=torch.float32)
        weight[self._used] = both[:-1].float()
        return weight, both[-1].float()

    def _evaluate(self, penalty: float) -> Tensor:
        """The mean loss at what was found, with its slope beside."""
        both = self._found.detach().view(-1, self._labels)
        weight, bias = both[:-1], both[-1]
        logits = (self._x.times(weight.float()).double() + bias).requires_grad_()
        with torch.enable_grad():
            total = self._loss(logits, self._rows) / self._number
            (slope,) = torch.autograd.grad(total, logits)
        columns = self._back.times(slope.float()).double() + penalty * weight
        self._found.grad = torch.cat([columns, slope.sum(0, keepdim=True)]).flatten()
        return total.detach() + penalty / 2 * (weight * weight).sum()


def solve(x: SparseRows, rows: Tensor, *, labels: int, l2: float, loss: RowLoss) -> tuple[Tensor, Tensor]:
    """The W (B, C) and b (C,) that minimise the sum of losses of X W + b, and l2 / 2 times the sum of squares of W.

    x: the rows that are learned from, which are `rows` (N,) of what `loss` knows
    Columns without a number have weight 0. The same bits on every call, from zeros.
    """
    return Convex(x, rows, labels=labels, loss=loss).solve(l2)


def chosen_l2(x: SparseRows, *, labels: int, strengths: Sequence[float], loss: RowLoss) -> float:
    """The strength at which rows that were left out have the lowest loss, by cross-validation; of equals the first.

    Rows of a fold lie evenly apart, and of many rows some are taken, evenly too. Each strength starts from the weights
    of the one before it, and ends earlier than weights that are kept.
    """
    taken = torch.arange(len(x))[:: -(-len(x) // MOST_ROWS) or 1]
    fold = torch.arange(len(taken)) % FOLDS
    outside = [taken[fold == number] for number in range(FOLDS)]
    left = [x.some(rows) for rows in outside]
    parts = [Convex(x.some(rows), rows, labels=labels, loss=loss) for rows in (taken[fold != n] for n in range(FOLDS))]

    def left_out(l2: float) -> float:
        total = 0.0
        for convex, rows, kept in zip(parts, outside, left, strict=True):
            weight, bias = convex.solve(l2, CHOICE)
            total += float(loss((kept.times(weight) + bias).double(), rows))
        return total

    return min(strengths, key=left_out)
