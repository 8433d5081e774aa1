"""What a piece of text does to the tables, by the native engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Loss
from recurra.base.errors import ConfigError, TrainingError
from recurra.engine import cpu, words
from recurra.models import TwoTables
from recurra.tasks.word_vectors.texts import Numbers

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


class Learning:
    """A recipe for words that were counted. counts: (V,) how often each was seen, the most frequent first"""

    def __init__(self, recipe: Recipe, counts: NDArray[np.int64]) -> None:
        self.recipe, self.counts = recipe, counts

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
        if self.recipe.tree:  # whose root is in every window
            return 1
        return words.group(self.counts, self._keep, self.recipe.negatives, self.recipe.power)

    @property
    def outputs(self) -> int:
        """Rows of the second table."""
        return len(self.counts) - self.recipe.tree

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

    def move(self, model: TwoTables, batch: Batch, rate: float) -> Loss:
        """Raises TrainingError where the loss is no number."""
        nats, pairs = self._batch(model.inputs, model.outputs, batch, rate)
        if not math.isfinite(nats):
            raise TrainingError(
                f"the loss is {nats}: vectors have grown beyond all numbers. Lower training.optimizer.lr, now {rate:g}."
            )
        return Loss(torch.tensor(nats, dtype=torch.float32), pairs)

    def loss(self, inputs: Tensor, outputs: Tensor, batch: Batch) -> Loss:
        """The loss of a piece of text, and nothing moves."""
        nats, pairs = self._batch(inputs, outputs, batch, 0.0)
        return Loss(torch.tensor(nats, dtype=torch.float32), pairs)

    def _batch(self, inputs: Tensor, outputs: Tensor, batch: Batch, rate: float) -> tuple[float, int]:
        seed, place = batch.inputs["draws"].tolist()
        return self._go(inputs, outputs, batch.inputs["words"].numpy(), rate, seed, place)

    def nats(self, model: TwoTables, text: Numbers, place: int) -> tuple[float, int]:
        """The loss of a text and its number of pairs, and nothing moves. place: what is drawn is a function of it"""
        return self._go(model.inputs, model.outputs, text, 0.0, SCORING, place)

    def _go(
        self, inputs: Tensor, outputs: Tensor, text: Numbers, rate: float, seed: int, place: int
    ) -> tuple[float, int]:
        if not cpu.available():
            raise ConfigError("word vectors: are trained by the native engine, which this installation lacks.")
        return words.learn(
            text,
            inputs,
            outputs,
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
        )
