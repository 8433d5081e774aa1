"""What turns a code back into numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor


class Reconstruction(Protocol):
    """RECONSTRUCTIONS[word](code_size, encoder, sizes, *, options): from a code to what is said of each number.

    encoder: which it mirrors, where its options are left open
    sizes: "values" D, numbers of a step; "parameters" P, of each; "steps", of the longest row, 0 where nobody knows
    """

    def __call__(self, codes: Tensor, lengths: Tensor, /) -> Tensor:
        """codes (N, Z), lengths (N,) to numbers (T, N, D P), T the longest; anything where padded."""
        ...


@runtime_checkable
class ReadsBack(Protocol):
    """What a reconstruction has besides whose steps may read those that have been said. reads_back: whether they do

    If so it is not called itself, but one of these.
    """

    reads_back: bool

    def taught(self, codes: Tensor, lengths: Tensor, values: Tensor) -> Tensor:
        """Numbers (T, N, D P), each step behind the true values (T, N, D) of those before it."""
        ...

    def alone(self, codes: Tensor, lengths: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
        """The same, each step behind what was said of the one before. mean: values (N, D) of numbers (N, D P)"""
        ...
