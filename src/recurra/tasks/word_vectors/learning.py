"""What a piece of text does to the tables, by the native engine: skip-gram, of words or of their n-grams, and CBOW."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Loss
from recurra.base.errors import ConfigError, TrainingError
from recurra.data.word_vectors import NGrams, Subwords, WordVectors
from recurra.engine import cpu, words
from recurra.models import TwoTables
from recurra.tasks.word_vectors.texts import Numbers, TextSampler, WordText

# What is drawn when texts are scored: always the same.
SCORING = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How words are learned from the words around them; as the options of the task say it."""

    cbow: bool
    tree: bool
    window: int
    dynamic: bool
    negatives: int
    sample: float
    sample_formula: str
    power: float


class Measure(NamedTuple):
    """What texts are scored by. name, unit, better: as a `Score` has them"""

    name: str
    unit: str
    better: Literal["lower", "higher"]


class Scored(NamedTuple):
    """Tables by which words are told from others."""

    inputs: Tensor
    outputs: Tensor


class Learning:
    """A recipe for words that were counted, the most frequent first.

    names: V words      counts: (V,) how often each was seen      ngrams: those whose mean a word is; None: it has a row
    """

    loss_unit: ClassVar[str] = "nats"
    measure: ClassVar[Measure] = Measure("log_loss", "nats", "lower")

    def __init__(
        self, recipe: Recipe, names: Sequence[str], counts: NDArray[np.int64], ngrams: NGrams | None = None
    ) -> None:
        self.recipe, self.names, self.counts, self.ngrams = recipe, names, counts, ngrams

    @cached_property
    def _told(self) -> words.Distribution | words.Tree:
        if self.recipe.tree:
            return words.huffman(self.counts)
        return words.distribution(self.counts.astype(np.float64) ** self.recipe.power)

    @cached_property
    def _keep(self) -> NDArray[np.uint32] | None:
        return words.kept(self.counts, self.recipe.sample, self.recipe.sample_formula)

    @cached_property
    def _group(self) -> int:
        # The root of a tree is in every window, and frequent n-grams are in most.
        if self.recipe.tree or self.ngrams is not None:
            return 1
        return words.group(self.counts, self._keep, self.recipe.negatives, self.recipe.power)

    @cached_property
    def _bags(self) -> words.Bags | None:
        """The rows of each word: its own, then its n-grams'."""
        if self.ngrams is None:
            return None
        V = len(self.counts)
        bags = [[k, *(V + bucket for bucket in self.ngrams.of(word))] for k, word in enumerate(self.names)]
        begins = np.cumsum([0, *map(len, bags)], dtype=np.int64)
        return words.Bags(begins, np.fromiter(chain.from_iterable(bags), np.int32, int(begins[-1])))

    @property
    def sizes(self) -> Mapping[str, int]:
        """What the model is made from: rows of both tables."""
        buckets = 0 if self.ngrams is None else self.ngrams.buckets
        return {"words": len(self.counts) + buckets, "outputs": len(self.counts) - self.recipe.tree}

    @property
    def untrained(self) -> float:
        """Nats of a pair where all products are 0: each of 1 + k answers, or of those on a path, is even."""
        return math.log(2) * (self._mean_path if self.recipe.tree else 1 + self.recipe.negatives)

    @property
    def without_context(self) -> float:
        """The least nats of a pair if what stands around is not looked at.

        Of negative samples with one answer for all words: 1 of 1 + k is right. Of a tree: the entropy of the words.
        """
        if self.recipe.tree:
            share = self._there / self._there.sum()
            return float(-(share * np.log(share)).sum())
        k = self.recipe.negatives
        return math.log(1 + k) + k * math.log((1 + k) / k)

    @property
    def _there(self) -> NDArray[np.float64]:
        """How often each word is left in the text."""
        counts = self.counts.astype(np.float64)
        return counts if self._keep is None else counts * (self._keep.astype(np.float64) / 2.0**32)

    @property
    def _mean_path(self) -> float:
        """Nodes of a path in the tree, on average over the text."""
        assert isinstance(self._told, words.Tree)
        return float((self._there * np.diff(self._told.begins)).sum() / self._there.sum())

    # -- training --------------------------------------------------------------------------------------------------

    def sampler(self, examples: Sequence[WordText], *, batch_tokens: int, batch_rows: int, seed: int) -> TextSampler:
        """Pieces of running text in the order of the file."""
        return TextSampler(examples, batch_tokens=batch_tokens, batch_rows=batch_rows, seed=seed)

    def move(self, model: TwoTables, batch: Batch, rate: float) -> Loss:
        """Raises TrainingError where the loss is no number."""
        return finite(self._batch(Scored(model.inputs, model.outputs), batch, rate), rate)

    def loss(self, tables: Mapping[str, Tensor], batch: Batch) -> Loss:
        """The loss of a piece of text, and nothing moves."""
        return self._batch(Scored(tables["inputs"], tables["outputs"]), batch, 0.0)

    def _batch(self, tables: Scored, batch: Batch, rate: float) -> Loss:
        seed, place = batch.inputs["draws"].tolist()
        nats, pairs = self._go(tables, batch.inputs["words"].numpy(), rate, seed, place, self._bags)
        return Loss(torch.tensor(nats, dtype=torch.float32), pairs)

    # -- what was learned ------------------------------------------------------------------------------------------

    def vectors(self, model: TwoTables) -> WordVectors:
        """The vectors of all words; with n-grams, of others too."""
        inputs = np.ascontiguousarray(model.inputs.detach().numpy())
        if self.ngrams is None:
            return WordVectors(self.names, inputs)
        outputs = np.ascontiguousarray(model.outputs.detach().numpy())
        names, counts = [name.encode() for name in self.names], self.counts.tolist()
        made = Subwords(names, counts, inputs, self.ngrams, outputs, self.recipe.window)
        return WordVectors(self.names, self._means(model.inputs).numpy(), made)

    def _means(self, inputs: Tensor) -> Tensor:
        """(V, D): each word as the mean of its rows."""
        assert self._bags is not None
        begins, rows = (torch.from_numpy(part.astype(np.int64)) for part in self._bags)
        return torch.nn.functional.embedding_bag(rows, inputs.detach(), begins[:-1], mode="mean")

    def scored(self, model: TwoTables) -> Scored:
        """Tables by which texts are scored, whose rows are words."""
        inputs = model.inputs if self.ngrams is None else as_table(self._means(model.inputs))
        return Scored(inputs.detach(), model.outputs.detach())

    def told(self, tables: Scored, text: Numbers, place: int) -> tuple[float, float]:
        """The loss of a text and its number of pairs, and nothing moves. place: what is drawn is a function of it"""
        return self._go(tables, text, 0.0, SCORING, place, None)

    def _go(
        self, tables: Scored, text: Numbers, rate: float, seed: int, place: int, bags: words.Bags | None
    ) -> tuple[float, int]:
        refuse_without_engine()
        return words.learn(
            text,
            tables.inputs,
            tables.outputs,
            self._told,
            keep=self._keep,
            window=self.recipe.window,
            dynamic=self.recipe.dynamic,
            cbow=self.recipe.cbow,
            negatives=self.recipe.negatives,
            group=self._group,
            rate=rate,
            seed=seed,
            position=place,
            bags=bags,
        )


def as_table(rows: Tensor) -> Tensor:
    """The same numbers, as the engine wants them."""
    return words.table(*rows.shape).copy_(rows)


def refuse_without_engine() -> None:
    """Raise ConfigError where the native engine is not there."""
    if not cpu.available():
        raise ConfigError("word vectors: are trained by the native engine, which this installation lacks.")


def finite(loss: Loss, rate: float) -> Loss:
    """A loss. Raises TrainingError where it is no number."""
    if not math.isfinite(loss.total):
        raise TrainingError(
            f"the loss is {float(loss.total)}: vectors have grown beyond all numbers. Lower training.optimizer.lr, now "
            f"{rate:g}."
        )
    return loss
