"""What the n-grams of a text count: how often each is there, how rare it is, and the text's length."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.models.contract import Sizes

Weighting = Literal["tfidf", "counts", "binary"]
# The square of a row's length that is taken to be 0: of a text without any n-gram that is known.
NOTHING = 1e-30


class NGramFeatures(nn.Module):
    """Numbers of n-grams with what each counts, each text of length 1, half of its square of words.

    sizes: "ngrams"; "word_ngrams", how many of them, the first, are of words
    scale: (V,), what one n-gram counts: idf, which is set by training rows; a buffer, saved with the weights
    Weights of n-grams: Salton and Buckley 1988. Raises ConfigError where no n-grams are counted.
    """

    def __init__(self, sizes: Sizes, weighting: Weighting, otherwise: str, scale: Tensor) -> None:
        super().__init__()
        if "ngrams" not in sizes:
            raise ConfigError(
                "bag: reads n-grams, and none are counted; set task.ngrams: hashed (task classification), or "
                f"{otherwise}."
            )
        self.weighting = weighting
        size = sizes["ngrams"]
        # Words and characters have the same length, as there are several times as many runs of characters.
        self.words = sizes.get("word_ngrams", size)
        self.kinds = 2 if 0 < self.words < size else 1
        self.scale: Tensor
        self.register_buffer("scale", scale)

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


def weighted(counts: Tensor, weighting: str) -> Tensor:
    """What n-grams that stand so often in a text count there, before idf."""
    if weighting == "tfidf":
        return 1 + counts.log()
    return counts if weighting == "counts" else torch.ones_like(counts)
