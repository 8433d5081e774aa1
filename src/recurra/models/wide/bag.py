"""A linear score of the n-grams of a text, beside what the encoder and the head say of it."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.base.option import Opt
from recurra.models.contract import Sizes
from recurra.models.ngrams import NGramFeatures, Weighting


class Bag(NGramFeatures):
    """Bag of n-grams: one weight for each n-gram and label, whose sum stands beside the head's logits.

    logits = a (W^T x + b) + c (the head's logits), x of length 1, half of its square of words. In training the head's
    alone: W is solved before the first step, as it is convex, and a and c are fitted to dev after the last one.
    inputs["ngrams"] (G, N) int64 and inputs["ngram_counts"] (G, N) float, 0 where padded.
    sizes: "ngrams"; "word_ngrams", how many of them, the first, are of words; "labels".
    Sources: Cheng et al. 2016, arXiv:1606.07792; weights of n-grams: Salton and Buckley 1988.
    Raises ConfigError where no n-grams are counted.
    """

    noun = "n-grams"

    def __init__(
        self,
        sizes: Sizes,
        *,
        weighting: Annotated[
            Weighting,
            Opt("what an n-gram counts in its text; tfidf: (1 + ln count) idf; binary: 1. Each text has length 1"),
        ] = "tfidf",
        l2: Annotated[
            float | None,
            Opt("weight of half the squared weights beside the sum of losses; null: by cross-validation", gt=0),
        ] = None,
    ) -> None:
        size, labels = sizes.get("ngrams", 0), sizes["labels"]
        super().__init__(sizes, weighting, "model.wide: none", torch.zeros(size, dtype=torch.float32))
        self.l2 = l2
        # Buffers: they are saved with the weights, and no optimizer moves them.
        self.weight: Tensor
        self.register_buffer("weight", torch.zeros(size, labels, dtype=torch.float32))
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(labels, dtype=torch.float32))
        self.share: Tensor
        self.register_buffer("share", torch.full((2,), 0.5, dtype=torch.float32))

    def forward(self, batch: Batch, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.training:
            return outputs
        ours, theirs = self.share
        return outputs | {"logits": ours * self.logits(batch) + theirs * outputs["logits"]}

    def logits(self, batch: Batch) -> Tensor:
        """(N, labels): what the n-grams alone say."""
        ids, x = self.features(batch.inputs["ngrams"].T, batch.inputs["ngram_counts"].T)
        return F.embedding_bag(ids, self.weight, mode="sum", per_sample_weights=x) + self.bias

    def cannot_stream(self) -> list[str]:
        return ["name: a bag counts the n-grams of a whole text; set model.wide and task.ngrams to none."]
