"""GloVe: how often words of the training texts stand together, and tables whose products are the logarithms of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from recurra.tasks.word_vectors.learning import Learning, Recipe, Scored, as_table, finite, refuse_without_engine
from recurra.tasks.word_vectors.texts import Numbers, TextSampler, WordText

# Negative samples, and the power of counts by which they are drawn, where texts are scored.
SAMPLES, POWER = 5, 0.75
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

    @property
    def of_a_word(self) -> float:
        """What the words around one add up to, far from the ends of its text."""
        side = sum(1 / d if self.weighted else 1.0 for d in range(1, self.window + 1))
        return 2 * side if self.symmetric else side


class GloveLearning:
    """What `Learning` is for skip-gram. names: V words, the most frequent first      counts: (V,)"""

    loss_unit: ClassVar[str] = "squared error"

    def __init__(self, counting: Counting, names: Sequence[str], counts: NDArray[np.int64]) -> None:
        self.counting, self.names, self.counts = counting, names, counts
        told = Recipe(
            cbow=False, tree=False, window=counting.window, dynamic=True, negatives=SAMPLES, sample=0.0,
            sample_formula="code", power=POWER,
        )  # fmt: skip
        self._telling = Learning(told, names, counts)

    @property
    def sizes(self) -> Mapping[str, int]:
        """What the model is made from."""
        return {"words": len(self.counts), "outputs": len(self.counts), "adagrad": 1}

    @property
    def untrained(self) -> float:
        """Nats of a pair where all answers are even."""
        return self._telling.untrained

    @property
    def without_context(self) -> float:
        """Nats of a pair with one answer for all words."""
        return self._telling.without_context

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
        """Tables whose products say, as those of skip-gram do, how likely a word is beside another one.

        A product with both biases is ln x; less the logarithm of all that stands around the first word it is that of
        the second one's probability there, and less that of its k negative samples the logit of its being right.
        """
        counts = torch.from_numpy(self.counts.astype(np.float64))
        around = torch.log(counts * self.counting.of_a_word)
        drawn = counts**POWER
        w, c = (table.detach().double() for table in (model.inputs, model.outputs))
        one = torch.ones((len(w), 1), dtype=torch.float64)
        inputs = torch.cat((w[:, :-1], w[:, -1:] - around[:, None], one), 1)
        noise = torch.log(SAMPLES * drawn / drawn.sum())
        outputs = torch.cat((c[:, :-1], one, c[:, -1:] - noise[:, None]), 1)
        return Scored(as_table(inputs), as_table(outputs))

    def nats(self, tables: Scored, text: Numbers, place: int) -> tuple[float, int]:
        """The loss of telling the words of a text from negative samples, and the number of pairs."""
        return self._telling.nats(tables, text, place)


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
