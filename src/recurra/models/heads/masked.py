"""Which piece stands at a place where it is hidden, over the vocabulary of the inputs."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.models.contract import Encoded, Sizes
from recurra.nn import SteadyLinear
from recurra.nn.transformer.layers import FUNCTIONS


class MaskedHead(nn.Module):
    """softmax(E norm(f(W h + b)) + c), E the table of the inputs (Devlin et al. 2019, as BERT's code has it).

    outputs: "hidden" (P, N, D), zero where padded, and "output.weight" (V, D), "output.bias" (V,), as
    `recurra.nn.linear_cross_entropy` reads them; of the steps of a batch that are asked for ("places") alone, or of
    all. Numbers of pieces are those of the inputs' table. Weights begin with N(0, 0.02), biases with 0.
    Where sizes["pairs"] is 2, "pair_logits" (N, 2) too, a linear map of the summary: whether the second text goes on
    where the first ends (next-sentence prediction).
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        activation: Annotated[str, Opt("of the layer before the table", choices=tuple(FUNCTIONS))] = "gelu",
        norm_eps: Annotated[float, Opt("added to the variance in the norm", gt=0, lt=1)] = 1e-12,
    ) -> None:
        super().__init__()
        self.transform = SteadyLinear(input_size, input_size)
        self.word, self.activation = activation, FUNCTIONS[activation]
        self.norm = nn.LayerNorm(input_size, eps=norm_eps)
        self.weight: Tensor | None = None
        self.bias: nn.Parameter | None = None
        self.pair = SteadyLinear(input_size, sizes["pairs"]) if "pairs" in sizes else None
        for layer in (self.transform, self.pair):
            if layer is not None and not layer.weight.is_meta:
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def tie(self, inputs: Any) -> None:
        """Take the table of the inputs. Raises ConfigError for inputs without pieces, or of another width."""
        words = getattr(inputs, "words", None)
        if not isinstance(words, nn.Embedding):
            raise ConfigError("head: masked tells pieces of the inputs' table; it needs model.inputs: word_pieces.")
        if words.embedding_dim != self.transform.out_features:
            raise ConfigError(
                f"head: masked reads {self.transform.out_features} numbers and a piece's vector has "
                f"{words.embedding_dim}; make hidden_size and embedding_size equal."
            )
        self.weight = words.weight
        self.bias = nn.Parameter(words.weight.new_zeros(words.num_embeddings))

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        assert self.weight is not None
        assert self.bias is not None
        real = sequence_mask(encoded.lengths, len(encoded.outputs))
        rows = self.rows(encoded.outputs[real])
        hidden = encoded.outputs.new_zeros((*real.shape, rows.shape[1])).index_put((real,), rows)
        pairs = {} if self.pair is None else {"pair_logits": self.pair(encoded.summary)}
        return {"hidden": hidden, "output.weight": self.weight, "output.bias": self.bias, **pairs}

    def rows(self, h: Tensor) -> Tensor:
        """(S, D) of outputs (S, D): what the table is multiplied by."""
        found: Tensor = self.norm(self.activation(self.transform(h)))
        return found

    def cannot_stream(self) -> list[str]:
        return []
