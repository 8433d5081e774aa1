"""A linear score of the n-grams of a text, beside what the encoder and the head say of it."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models.contract import Sizes

# The square of a row's length that is taken to be 0: of a text without any n-gram that is known.
NOTHING = 1e-30


class Bag(nn.Module):
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
            Literal["tfidf", "counts", "binary"],
            Opt("what an n-gram counts in its text; tfidf: (1 + ln count) idf; binary: 1. Each text has length 1"),
        ] = "tfidf",
        l2: Annotated[
            float | None,
            Opt("weight of half the squared weights beside the sum of losses; null: by cross-validation", gt=0),
        ] = None,
    ) -> None:
        super().__init__()
        if "ngrams" not in sizes:
            raise ConfigError(
                "bag: reads n-grams, and none are counted; set task.ngrams: hashed (task classification), or "
                "model.wide: none."
            )
        self.weighting, self.l2 = weighting, l2
        size, labels = sizes["ngrams"], sizes["labels"]
        # Words and characters have the same length, as there are several times as many runs of characters.
        self.words = sizes.get("word_ngrams", size)
        self.kinds = 2 if 0 < self.words < size else 1
        # Buffers: they are saved with the weights, and no optimizer moves them.
        self.scale: Tensor
        self.register_buffer("scale", torch.zeros(size, dtype=torch.float32))
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

    def features(self, ids: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """n-grams (N, G), and what each counts, each row of length 1; 0 and 0 where padded."""
        real = counts > 0
        ids, counts = torch.where(real, ids, 0).contiguous(), torch.where(real, counts, 1).to(self.scale.dtype)
        x = torch.where(real, weighted(counts, self.weighting) * self.scale[ids], 0)
        words, square = ids < self.words, x * x
        # Added up from left to right, so that padding at the end changes no bit.
        first, second = (torch.where(kind, square, 0).cumsum(1)[:, -1:] for kind in (words, ~words))
        length = (torch.where(words, first, second) * self.kinds).clamp(min=NOTHING).sqrt()
        return ids, (x / length).contiguous()

    def cannot_stream(self) -> list[str]:
        return ["name: a bag counts the n-grams of a whole text; set model.wide and task.ngrams to none."]


def weighted(counts: Tensor, weighting: str) -> Tensor:
    """What n-grams that stand so often in a text count there, before idf."""
    if weighting == "tfidf":
        return 1 + counts.log()
    return counts if weighting == "counts" else torch.ones_like(counts)
