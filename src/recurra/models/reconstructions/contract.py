"""What turns a code back into numbers."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Reconstruction(Protocol):
    """RECONSTRUCTIONS[word](code_size, encoder, sizes, *, options): from a code to what is said of each number.

    encoder: which it mirrors, where its options are left open
    sizes: "values" D, numbers of a step; "parameters" P, of each; "steps", of every row, 0 where they differ
    """

    def __call__(self, codes: Tensor, lengths: Tensor, /) -> Tensor:
        """codes (N, Z), lengths (N,) to numbers (T, N, D P), T the longest; anything where padded."""
        ...
