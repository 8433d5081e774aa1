"""Two vectors for each word: the one that is kept, and the one by which it is told from others in training."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.option import Opt
from recurra.engine import glove, words
from recurra.models.contract import Sizes

# Rows that are drawn at once: a second table of the vectors would be as large as the first.
ROWS = 4096


class TwoTables(nn.Module):
    """inputs: (V, D) vectors of words      outputs: (O, D) of what is told apart, zeros at first

    The vectors begin with even chances in -1/(2D) .. 1/(2D), as the program of Mikolov et al. 2013 has them.
    GloVe has two tables of (V, D + 1), vectors and a bias each, which begin in the same way, and beside each of them
    the sums of AdaGrad's squares, from zeros (Pennington, Socher and Manning 2014).
    sizes: "words" V, "outputs" O, "adagrad" 1 for GloVe
    """

    inputs: nn.Parameter
    outputs: nn.Parameter
    input_squares: nn.Parameter
    output_squares: nn.Parameter

    def __init__(
        self, sizes: Sizes, *, vector_size: Annotated[int, Opt("numbers of a vector", ge=1, le=4096)] = 100
    ) -> None:
        super().__init__()
        adagrad = bool(sizes.get("adagrad", 0))
        shapes = {"inputs": sizes["words"], "outputs": sizes["outputs"]}
        shapes |= {"input_squares": sizes["words"], "output_squares": sizes["outputs"]} if adagrad else {}
        for name, rows in shapes.items():
            table = nn.Parameter(words.table(rows, vector_size + adagrad), requires_grad=False)
            self.register_parameter(name, table)
        with torch.no_grad():
            for table in (self.inputs, self.outputs) if adagrad else (self.inputs,):
                for begin in range(0, len(table), ROWS):
                    some = table[begin : begin + ROWS]
                    some.copy_(torch.rand(tuple(some.shape), dtype=torch.float32).sub_(0.5).div_(vector_size))

    @property
    def adagrad(self) -> glove.Tables:
        """All tables of GloVe."""
        return glove.Tables(self.inputs, self.outputs, self.input_squares, self.output_squares)

    def forward(self, batch: Batch) -> Prediction:
        """All tables, whatever the batch is: its loss says what is done with them."""
        return Prediction({name: table.data for name, table in self.named_parameters()})
