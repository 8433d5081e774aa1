"""Tokens to what comes next: embedding, recurrent layers whose states go in and out, an output layer over the words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import BACKENDS, real_steps
from recurra.lower import projects
from recurra.models import options as o
from recurra.nn import Embedding, Recurrent
from recurra.nn.recurrent import State
from recurra.nn.softmax import FullSoftmax


class LanguageModel(nn.Module):
    """Tokens x_1 .. x_T of each row to p(x_2), .. p(x_{T+1}), each given all tokens before it.

    num_tokens: size of the vocabulary, padding (token 0) among them
    The last layer is as wide as the embedding where their weights are tied (Merity et al. 2017, arXiv:1708.02182, 4.5).
    Raises ConfigError, with all problems at once, for options that cannot take effect.
    """

    def __init__(
        self,
        num_tokens: int,
        *,
        embedding_size: o.EmbeddingSize = 200,
        cell: Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)] = "lstm",
        hidden_size: Annotated[
            int, Opt("units of a layer; the last one has embedding_size where weights are tied", ge=1, le=o.WIDEST)
        ] = 200,
        num_layers: Annotated[int, Opt("recurrent layers, one on the other", ge=1, le=o.DEEPEST)] = 2,
        proj_size: Annotated[
            int, Opt("units after the projection, for lstm_projected; 0 is none", ge=0, le=o.WIDEST)
        ] = 0,
        tied: Annotated[
            bool, Opt("the output layer has the embedding's weights (Press & Wolf 2017; Inan et al. 2017)")
        ] = True,
        embedding_dropout: o.EmbeddingDropout = 0.0,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: Annotated[
            str, Opt("what runs the cells; auto takes the fastest", choices=("auto", *BACKENDS))
        ] = "auto",
    ) -> None:
        super().__init__()
        projected = projects(CELLS[cell])
        _refuse(
            tied=tied, width=proj_size if projected else None, embedding_size=embedding_size, hidden_size=hidden_size,
            num_layers=num_layers, dropout=dropout,
        )  # fmt: skip
        self.embedding = Embedding(num_tokens, embedding_size)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.layers = nn.ModuleList()
        width = embedding_size
        for layer in range(num_layers):
            last = layer + 1 == num_layers
            self.layers.append(
                Recurrent(
                    width,
                    embedding_size if last and tied and not projected else hidden_size,
                    proj_size=proj_size,
                    cell=cell,
                    variational_dropout=variational_dropout,
                    zoneout=zoneout,
                    init=init,
                    forget_bias=forget_bias,
                    backend=backend,
                )
            )
            width = self.layers[layer].output_size  # type: ignore[assignment]
        self.dropout = nn.Dropout(dropout)
        self.output_dropout = nn.Dropout(output_dropout)
        self.output = FullSoftmax(num_tokens, width, self.embedding.weight if tied else None)

    def forward(self, batch: Batch) -> Prediction:
        """One chunk of each row.

        batch: inputs["tokens"] (T, N), lengths (N,); what is padded may be anything. "state.0", "state.1", ...: the
        states before the first step, (N, width) each, layer by layer and in the order of the cell; zero where absent.
        "fresh" (N,) bool: rows whose state before is zero, whatever was given.
        outputs: "hidden" (T, N, D), zero where padded, and the output layer's tensors, as `nn.softmax` reads them;
        "state.0", ...: after each row's last real step.
        """
        tokens = batch.inputs["tokens"]
        lengths = batch.lengths.to(tokens.device)
        real = real_steps(lengths, len(tokens))
        x = self.embedding_dropout(self.embedding(torch.where(real, tokens, 0)))
        states: list[Tensor] = []
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, Recurrent)
            x, after = layer(self.dropout(x) if k else x, _before(layer, k, batch.inputs, x), lengths=lengths)
            states += [s[0] for s in (after if isinstance(after, tuple) else (after,))]
        named = {f"state.{k}": s for k, s in enumerate(states)}
        return Prediction({"hidden": self.output_dropout(x), **self.output(), **named})


def _before(layer: Recurrent, k: int, inputs: Mapping[str, Tensor], x: Tensor) -> State:
    """The states of layer k before the first step, each (1, N, width)."""
    S, fresh = len(layer.cell.states), inputs.get("fresh")
    states = []
    for place, width in enumerate(layer.state_sizes(), start=k * S):
        given = inputs.get(f"state.{place}")
        if given is None:
            given = x.new_zeros(x.shape[1], width)
        elif fresh is not None:
            given = torch.where(fresh.unsqueeze(1), given.new_zeros(()), given)
        states.append(given.unsqueeze(0))
    return tuple(states) if S > 1 else states[0]


def _refuse(
    *, tied: bool, width: int | None, embedding_size: int, hidden_size: int, num_layers: int, dropout: float
) -> None:
    """Raise ConfigError with every option of the model's own that could not take effect. width: of a projection."""
    problems = []
    if tied and width is not None and width != embedding_size:
        problems.append(
            f"tied: the output layer reads proj_size {width} numbers and a token's vector has {embedding_size}; make "
            "proj_size and embedding_size equal, or set tied: false."
        )
    if tied and width is None and num_layers == 1 and hidden_size != embedding_size:
        problems.append(
            f"hidden_size: is {hidden_size}, and the only layer is as wide as the embedding it is tied to, "
            f"{embedding_size}; make them equal, use more layers, or set tied: false."
        )
    if dropout and num_layers == 1:
        problems.append("dropout: acts between layers, and there is one; use output_dropout, or 0.")
    if problems:
        raise ConfigError(problems)
