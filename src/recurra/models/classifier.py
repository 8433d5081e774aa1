"""A sequence of tokens to one vector of logits: embedding, recurrent layers, pooling, one linear layer."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import BACKENDS, sequence_mask
from recurra.models import options as o
from recurra.nn import POOLS, Embedding, OneHot, Recurrent
from recurra.nn.dropout import without_words
from recurra.nn.initial import INITIALIZERS
from recurra.nn.merge import MERGES
from recurra.nn.recurrent import State

# No useful network is wider or deeper; up to here, counting the parameters before they are allocated takes no time.
WIDEST, DEEPEST = 65_536, 64


class Classifier(nn.Module):
    """Tokens (T, N) to logits (N, num_labels).

    num_tokens: size of the vocabulary        num_labels: how many logits
    Raises ConfigError for an option that cannot take effect, as `nn.Recurrent` does.
    """

    def __init__(
        self,
        num_tokens: int,
        num_labels: int,
        *,
        embedding_size: Annotated[
            int | Literal["one_hot"], Opt("numbers in a token's vector; one_hot: no table is learned", ge=1, le=WIDEST)
        ] = 64,
        cell: Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)] = "lstm",
        hidden_size: Annotated[int, Opt("units per layer and direction", ge=1, le=WIDEST)] = 128,
        num_layers: Annotated[int, Opt("recurrent layers, one on the other", ge=1, le=DEEPEST)] = 1,
        bidirectional: Annotated[bool, Opt("read in both directions")] = True,
        merge: Annotated[str, Opt("how two directions become one output", choices=MERGES)] = "concat",
        proj_size: Annotated[
            int, Opt("units after the projection, for lstm_projected; 0 is none", ge=0, le=WIDEST)
        ] = 0,
        pooling: Annotated[str, Opt("how the steps become one vector", choices=POOLS)] = "last",
        word_dropout: o.WordDropout = 0.0,
        embedding_dropout: Annotated[float, Opt("dropout on the token vectors", ge=0, lt=1)] = 0.0,
        dropout: Annotated[float, Opt("dropout between recurrent layers; needs num_layers >= 2", ge=0, lt=1)] = 0.0,
        variational_dropout: Annotated[
            float, Opt("dropout inside the recurrent layers, one mask a sequence (Gal & Ghahramani 2016)", ge=0, lt=1)
        ] = 0.0,
        zoneout: Annotated[
            float, Opt("probability that a state keeps its old value (Krueger et al. 2017)", ge=0, lt=1)
        ] = 0.0,
        output_dropout: Annotated[float, Opt("dropout before the last linear layer", ge=0, lt=1)] = 0.0,
        init: Annotated[str, Opt("how recurrent weights start", choices=INITIALIZERS)] = "torch",
        forget_bias: Annotated[
            float | None, Opt("bias of the forget gate at the start; null leaves it random", ge=-100, le=100)
        ] = None,
        backend: Annotated[
            str, Opt("what runs the cell; auto takes the fastest", choices=("auto", *BACKENDS))
        ] = "auto",
    ) -> None:
        super().__init__()
        self.embedding = OneHot(num_tokens) if embedding_size == "one_hot" else Embedding(num_tokens, embedding_size)
        self.num_tokens, self.word_dropout = num_tokens, word_dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.recurrent = Recurrent(
            self.embedding.output_size,
            hidden_size,
            num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            cell=cell,
            merge=merge,
            variational_dropout=variational_dropout,
            zoneout=zoneout,
            init=init,
            forget_bias=forget_bias,
            backend=backend,
        )
        self.pool = POOLS[pooling](self.recurrent.output_size)
        self.output_dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear(self.pool.output_size, num_labels)

    def forward(self, batch: Batch) -> Prediction:
        """Logits (N, num_labels) of a batch with inputs["tokens"] (T, N)."""
        tokens = batch.inputs["tokens"]
        lengths = batch.lengths.to(tokens.device)
        x = self.embedding(tokens)
        if self.word_dropout and self.training:
            x = without_words(x, tokens, self.num_tokens, self.word_dropout)
        outputs, state = self.recurrent(self.embedding_dropout(x), lengths=lengths)
        last = self.recurrent.last(state)
        pooled = self.pool(outputs, last, sequence_mask(lengths, len(tokens)))
        return Prediction({"logits": self.output(self.output_dropout(pooled))})

    def advance(self, tokens: Tensor, state: State | None) -> tuple[State, Tensor]:
        """The state after the next tokens (T, N), T = 0 among them, and logits (N, num_labels) for all that was read.

        state: as the last call returned it; None at the beginning of a text. Never any dropout: call it in eval mode.
        A model for which `cannot_go_on` has a reason must not be asked.
        """
        _, state = self.recurrent(self.embedding(tokens), state)
        return state, self.output(self.recurrent.last(state))

    def cannot_go_on(self) -> list[str]:
        """Why this model cannot read a text piece by piece, a sentence for each reason; none where it can."""
        found = []
        if self.recurrent.bidirectional:
            found.append("model.bidirectional: true reads a text from its end too, and that is not known yet.")
        if not isinstance(self.pool, POOLS["last"]):
            found.append("model.pooling: only last needs no more than the state; the others need every step.")
        return found
