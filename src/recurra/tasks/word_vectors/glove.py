"""GloVe: how often words of the training texts stand together, and tables whose products are the logarithms of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Loss
from recurra.data.store import Stored, numbers_beside
from recurra.data.word_vectors import WordVectors
from recurra.engine import glove
from recurra.models import TwoTables
from recurra.tasks.bucketing import ALL
from recurra.tasks.word_vectors.learning import SCORING, Measure, Scored, finite, refuse_without_engine
from recurra.tasks.word_vectors.texts import Numbers, TextSampler, WordText

# Words that others are preferred to are drawn by counts to this power, as negative samples usually are.
POWER = 0.75
# Pairs of words that are scored at once.
AT_ONCE = 2**14
# Words that are counted at a time.
PIECE = 2**18


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """How words are counted that stand together; as the options of the task say it. memory: MiB"""

    window: int
    symmetric: bool
    weighted: bool
    x_max: float
    alpha: float
    memory: int


class GloveLearning:
    """What `Learning` is for skip-gram. names: V words, the most frequent first      counts: (V,)"""

    loss_unit: ClassVar[str] = "squared error"
    measure: ClassVar[Measure] = Measure("pair_accuracy", "", "higher")

    def __init__(self, counting: Counting, names: Sequence[str], counts: NDArray[np.int64]) -> None:
        self.counting, self.names, self.counts = counting, names, counts

    @property
    def sizes(self) -> Mapping[str, int]:
        """What the model is made from."""
        return {"words": len(self.counts), "outputs": len(self.counts), "adagrad": 1}

    @property
    def untrained(self) -> float:
        """The share of right preferences where nothing is known."""
        return 0.5

    @property
    def without_context(self) -> float:
        """The share of right preferences if the more frequent word is always preferred."""
        seen, drawn = self.counts / self.counts.sum(), self._noise
        order = np.argsort(self.counts, kind="stable")
        _, same = np.unique(self.counts[order], return_inverse=True)
        below = np.bincount(same, drawn[order])  # by how often they are seen
        rarer = np.cumsum(below) - below
        return float((seen[order] * (rarer + below / 2)[same]).sum())

    @cached_property
    def _noise(self) -> NDArray[np.float64]:
        drawn = self.counts.astype(np.float64) ** POWER
        share: NDArray[np.float64] = drawn / drawn.sum()
        return share

    # -- training --------------------------------------------------------------------------------------------------

    def sampler(self, examples: Sequence[WordText], *, batch_tokens: int, batch_rows: int, seed: int) -> PairSampler:
        """All pairs of words that stand together, counted."""
        refuse_without_engine()
        text = TextSampler(examples, batch_tokens=PIECE, batch_rows=PIECE, seed=seed)
        return PairSampler(examples, text, self.counting, len(self.counts), batch_tokens=batch_tokens, seed=seed)

    def move(self, model: TwoTables, batch: Batch, rate: float) -> Loss:
        """Raises TrainingError where the loss is no number."""
        return finite(_batch(model.adagrad, batch, rate), rate)

    def loss(self, tables: Mapping[str, Tensor], batch: Batch) -> Loss:
        """The loss of these pairs, and nothing moves."""
        order = ("inputs", "outputs", "input_squares", "output_squares")
        return _batch(glove.Tables(*(tables[name] for name in order)), batch, 0.0)

    # -- what was learned ------------------------------------------------------------------------------------------

    def vectors(self, model: TwoTables) -> WordVectors:
        """The sum of both vectors of each word (section 4.2)."""
        both = (model.inputs + model.outputs).detach()[:, :-1]
        return WordVectors(self.names, np.ascontiguousarray(both.numpy()))

    def scored(self, model: TwoTables) -> Scored:
        """Vectors by which words are preferred to others beside a word: by ln x, less the first word's own bias."""
        one = torch.ones((len(self.counts), 1), dtype=torch.float32)
        return Scored(torch.cat((model.inputs.detach()[:, :-1], one), 1), model.outputs.detach())

    def told(self, tables: Scored, text: Numbers, place: int) -> tuple[float, float]:
        """How many words of a text are preferred to one that is drawn, beside each word around, and of how many.

        Each counts as it does in training. place: what is drawn is a function of it
        """
        chance, bounds = np.random.default_rng((SCORING, place)), np.cumsum(self._noise)
        w, c = (table.numpy() for table in tables)
        won = pairs = 0.0
        for d in range(1, min(self.counting.window, len(text) - 1) + 1):
            weight = 1 / d if self.counting.weighted else 1.0
            for begin in range(0, len(text) - d, AT_ONCE):
                right, left = text[begin + d : begin + d + AT_ONCE], text[begin : len(text) - d][:AT_ONCE]
                for here, there in ((right, left), (left, right))[: 1 + self.counting.symmetric]:
                    drawn = np.searchsorted(bounds, chance.random(len(here)) * bounds[-1])
                    more = (w[here] * (c[there] - c[drawn])).sum(1)
                    won += weight * float((more > 0).sum() + (more == 0).sum() / 2)
                    pairs += weight * len(here)
        return won, pairs


def _batch(tables: glove.Tables, batch: Batch, rate: float) -> Loss:
    pairs = glove.Pairs(batch.inputs["pairs"].numpy(), batch.inputs["begins"].numpy())
    loss = glove.learn(pairs, tables, rate=rate)
    return Loss(torch.tensor(loss, dtype=torch.float32), len(pairs.pairs))


class PairSampler:
    """All pairs of words that stand together in the texts, in an order that looks random, as each batch has it always.

    A batch has as many pairs as `batch_tokens` words have, and is of one stratum; each epoch has them in another order.
    """

    carries = False

    def __init__(
        self,
        examples: Sequence[WordText],
        text: TextSampler,
        counting: Counting,
        V: int,
        *,
        batch_tokens: int,
        seed: int,
    ) -> None:
        self._numbers, self._seed = numbers_beside(examples, np.int32), seed
        self._ends, self._begins = [0], []
        folder = examples.scratch.folder if isinstance(examples, Stored) else Path(tempfile.gettempdir())
        counted = glove.cooccurrences(
            text.pieces(),
            V=V,
            tokens=text.total,
            window=counting.window,
            folder=folder,
            memory=counting.memory * 2**20,
            most=batch_tokens * counting.window * (2 if counting.symmetric else 1),
            seed=seed,
            symmetric=counting.symmetric,
            weighted=counting.weighted,
            x_max=counting.x_max,
            alpha=counting.alpha,
        )
        for pairs, begins in counted:
            self._numbers.extend(pairs.ravel())
            self._ends.append(len(self._numbers))
            self._begins.append(begins)

    def plan(self, epoch: int) -> list[int]:
        """The batches of an epoch, in an order that is a function of the seed and its number."""
        order: list[int] = np.random.default_rng((self._seed, epoch)).permutation(len(self._begins)).tolist()
        return order

    def batch(self, item: int, rows: slice = ALL) -> Batch:
        """pairs: (N, 4), begins: (9,), as `glove.Pairs` has them. indices: none, as no row of a model is one text."""
        numbers = self._numbers.read(*self._ends[item : item + 2]).reshape(-1, glove.FIELDS)
        pairs, begins = torch.from_numpy(numbers.copy()), torch.from_numpy(self._begins[item])
        return Batch({"pairs": pairs, "begins": begins}, torch.tensor([len(pairs)], dtype=torch.int64), {}, ())
