"""The n-grams of a text as one vector: bag of words, TF-IDF, hashed n-grams."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.models.ngrams import NGramFeatures, Weighting


class BagOfNGrams(NGramFeatures):
    """Bag of n-grams: the sum of a learned vector for each n-gram of a text, weighed by what it counts there; without
    order, one step.

    inputs["ngrams"] (G, N) int64 and inputs["ngram_counts"] (G, N) float, 0 where padded, to x (1, N, embedding_size).
    sizes: "ngrams"; "word_ngrams", how many of them, the first, are of words.
    Source: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification" (fastText), where n-grams count alike.
    Raises ConfigError where no n-grams are counted.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        embedding_size: Annotated[int, Opt("numbers of an n-gram's vector", ge=1, le=o.WIDEST)] = 64,
        weighting: Annotated[
            Weighting,
            Opt("what an n-gram counts in its text; tfidf: (1 + ln count) idf; binary: 1. Each text has length 1"),
        ] = "tfidf",
        embedding_dropout: o.EmbeddingDropout = 0.0,
    ) -> None:
        size = sizes.get("ngrams", 0)
        super().__init__(sizes, weighting, "other inputs", torch.ones(size, dtype=torch.float32))
        self.output_size = embedding_size
        # Not torch.randn, which imports a compiler where a model is drawn without memory.
        self.vectors = Parameter(nn.init.normal_(torch.empty(size, embedding_size, dtype=torch.float32), std=0.1))
        self.dropout = nn.Dropout(embedding_dropout)

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        ids, x = self.features(batch.inputs["ngrams"].T, batch.inputs["ngram_counts"].T)
        summed = F.embedding_bag(ids, self.vectors, mode="sum", per_sample_weights=x)
        return self.dropout(summed).unsqueeze(0), torch.ones(len(ids), dtype=torch.int64, device=ids.device)

    def cannot_stream(self) -> list[str]:
        return ["name: a bag counts the n-grams of a whole text; choose inputs of tokens."]
