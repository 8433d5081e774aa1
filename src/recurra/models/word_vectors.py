"""Two vectors for each word: the one that is kept, and the one by which it is told from others in training."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.option import Opt
from recurra.engine import words
from recurra.models.contract import Sizes


class TwoTables(nn.Module):
    """inputs: (V, D) vectors of words      outputs: (O, D) of what is told apart, zeros at first

    The vectors begin with even chances in -1/(2D) .. 1/(2D), as the program of Mikolov et al. 2013 has them.
    sizes: "words" V, "outputs" O
    """

    def __init__(
        self, sizes: Sizes, *, vector_size: Annotated[int, Opt("numbers of a vector", ge=1, le=4096)] = 100
    ) -> None:
        super().__init__()
        self.inputs = nn.Parameter(words.table(sizes["words"], vector_size), requires_grad=False)
        self.outputs = nn.Parameter(words.table(sizes["outputs"], vector_size), requires_grad=False)
        with torch.no_grad():
            self.inputs.copy_((torch.rand((sizes["words"], vector_size), dtype=torch.float32) - 0.5) / vector_size)

    def forward(self, batch: Batch) -> Prediction:
        """Both tables, whatever the batch is: its loss says what is done with them."""
        return Prediction({"inputs": self.inputs, "outputs": self.outputs})
