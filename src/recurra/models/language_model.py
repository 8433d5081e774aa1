"""Tokens to what comes next: embedding, recurrent layers whose states go in and out, an output layer over the words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import BACKENDS, reverse_sequences, sequence_mask
from recurra.lower import projects
from recurra.models import options as o
from recurra.nn import AdaptiveSoftmax, Embedding, FullSoftmax, Recurrent, weight_dropped
from recurra.nn.dropout import LockedDropout, without_words
from recurra.nn.recurrent import State
from recurra.nn.weight_drop import recurrent_weights

# Shares of a vocabulary where clusters of an adaptive softmax begin. On WikiText-2 (33,278 words; 70 % of the text are
# the first 3 %) a step costs 8 % of the full softmax with weights as wide as h, and 3 % with div_value 4.
CUTOFFS = (0.03, 0.1, 0.25, 0.5)
DIV_VALUE = 4.0


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
        softmax: Annotated[
            str,
            Opt(
                "adaptive: rare words in clusters, many times faster (Grave et al. 2017)", choices=("full", "adaptive")
            ),
        ] = "full",
        cutoffs: Annotated[
            tuple[float, ...] | None,
            Opt("first words of the clusters, as shares of the vocabulary; null is 0.03, 0.1, 0.25, 0.5", gt=0, lt=1),
        ] = None,
        div_value: Annotated[
            float | None,
            Opt("each cluster reads so many times fewer numbers than the one before; null is 4, or 1 if tied", ge=1),
        ] = None,
        embedding_dropout: o.EmbeddingDropout = 0.0,
        dropout: o.Dropout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        locked_dropout: Annotated[
            bool,
            Opt("the three dropouts above keep one mask for all steps of a chunk (Merity et al. 2017, section 4.2)"),
        ] = False,
        word_dropout: o.WordDropout = 0.0,
        weight_drop: Annotated[
            float, Opt("share of recurrent weights that are zero in a step (Merity et al. 2017)", ge=0, lt=1)
        ] = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        backward_layer: Annotated[
            bool,
            Opt(
                "while it learns, a second layer reads each chunk from its end and tells the token before (Peters et "
                "al. 2018), for a bidirectional model to begin with; needs num_layers: 1"
            ),
        ] = False,
        activation_penalty: Annotated[
            float, Opt("weight of the mean square of the last layer's output in the loss (AR)", ge=0)
        ] = 0.0,
        temporal_penalty: Annotated[
            float, Opt("weight of the mean square of its change from step to step (TAR)", ge=0)
        ] = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: Annotated[
            str, Opt("what runs the cells; auto takes the fastest", choices=("auto", *BACKENDS))
        ] = "auto",
    ) -> None:
        super().__init__()
        projected = projects(CELLS[cell])
        problems = [
            *_sizes(tied, proj_size if projected else None, embedding_size, hidden_size, num_layers),
            *_dropouts(num_layers, locked_dropout, embedding_dropout, dropout, output_dropout),
            *_softmax(softmax, tied, cutoffs, div_value),
            *_backward(backward_layer, num_layers),
        ]
        if problems:
            raise ConfigError(problems)
        kind = LockedDropout if locked_dropout else nn.Dropout
        self.word_dropout, self.weight_drop = word_dropout, weight_drop
        self.penalties = {"penalty.activation": activation_penalty, "penalty.temporal": temporal_penalty}
        self.embedding = Embedding(num_tokens, embedding_size)
        self.embedding_dropout = kind(embedding_dropout)
        self.layers = nn.ModuleList()
        width = embedding_size

        def layer(width: int, last: bool) -> Recurrent:
            return Recurrent(
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

        for k in range(num_layers):
            recurrent = layer(width, last=k + 1 == num_layers)
            self.layers.append(recurrent)
            width = recurrent.output_size
        self.backward_layer = layer(embedding_size, last=True) if backward_layer else None
        if weight_drop:
            recurrent_weights(recurrent)  # refuses a cell without any
        self.dropout = kind(dropout)
        self.output_dropout = kind(output_dropout)
        shared = self.embedding.weight if tied else None
        if softmax == "full":
            self.output: nn.Module = FullSoftmax(num_tokens, width, shared)
        else:
            divisor = (1.0 if tied else DIV_VALUE) if div_value is None else div_value
            self.output = AdaptiveSoftmax(num_tokens, width, _first_tokens(cutoffs, num_tokens), divisor, shared)

    def forward(self, batch: Batch) -> Prediction:
        """One chunk of each row.

        batch: inputs["tokens"] (T, N), lengths (N,); what is padded may be anything. "state.0", "state.1", ...: the
        states before the first step, (N, width) each, layer by layer and in the order of the cell; zero where absent.
        "fresh" (N,) bool: rows whose state before is zero, whatever was given.
        outputs: "hidden" (T, N, D), zero where padded, and the output layer's tensors, as `nn.softmax` reads them;
        "state.0", ...: after each row's last real step; in training with penalties what `activation_penalties` reads,
        and with a backward layer "hidden.backward" (T - 1, N, D), which `backward_nats` reads.
        """
        tokens = batch.inputs["tokens"]
        lengths = batch.lengths.to(tokens.device)
        x = vectors = self._vectors(torch.where(sequence_mask(lengths, len(tokens)), tokens, 0))
        states: dict[str, Tensor] = {}
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, Recurrent)
            before = _before(layer, k, batch.inputs, x)
            x, after = weight_dropped(layer, self.weight_drop, self.dropout(x) if k else x, before, lengths=lengths)
            for state in after if isinstance(after, tuple) else (after,):
                states[f"state.{len(states)}"] = state[0]
        more = {**self._penalised(x), **self._from_the_end(vectors, lengths)}
        return Prediction({"hidden": self.output_dropout(x), **self.output(), **states, **more})

    def _vectors(self, tokens: Tensor) -> Tensor:
        """Of each token, with dropout: (T, N, E)."""
        x: Tensor = self.embedding(tokens)
        if self.word_dropout and self.training:
            x = without_words(x, tokens, len(self.embedding.weight), self.word_dropout)
        vectors: Tensor = self.embedding_dropout(x)
        return vectors

    def _from_the_end(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What the backward layer gives out after it has read x (T, N, E) from its end to each step; only in training.

        It knows no more than the chunk: its state before the chunk's end is zero, and it does not read the first step,
        which has nothing before it to tell.
        """
        if self.backward_layer is None or not self.training:
            return {}
        x, lengths = x[1:], (lengths - 1).clamp(min=0)
        h, _ = weight_dropped(self.backward_layer, self.weight_drop, reverse_sequences(x, lengths), lengths=lengths)
        return {"hidden.backward": self.output_dropout(reverse_sequences(h, lengths))}

    def _penalised(self, h: Tensor) -> dict[str, Tensor]:
        """What the penalties on the last layer's output h (T, N, D) need; nothing outside of training."""
        strengths = {name: h.new_tensor(value) for name, value in self.penalties.items() if value and self.training}
        return strengths | ({"activation": h} if strengths else {})


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


def _first_tokens(cutoffs: tuple[float, ...] | None, num_tokens: int) -> list[int]:
    """The first token of each cluster: shares of the vocabulary, at least one token apart."""
    found: list[int] = []
    for share in cutoffs or CUTOFFS:
        found.append(max(round(share * num_tokens), found[-1] + 1 if found else 1))
    return found


def _sizes(tied: bool, projected: int | None, embedding_size: int, hidden_size: int, num_layers: int) -> Iterator[str]:
    """Sizes that do not fit tied weights. projected: the size of the cell's projection, if it has one."""
    if tied and projected is not None and projected != embedding_size:
        yield (
            f"tied: the output layer reads proj_size {projected} numbers and a token's vector has {embedding_size}; "
            "make proj_size and embedding_size equal, or set tied: false."
        )
    if tied and projected is None and num_layers == 1 and hidden_size != embedding_size:
        yield (
            f"hidden_size: is {hidden_size}, and the only layer is as wide as the embedding it is tied to, "
            f"{embedding_size}; make them equal, use more layers, or set tied: false."
        )


def _dropouts(num_layers: int, locked: bool, *dropouts: float) -> Iterator[str]:
    """Dropouts that could not act: on the embedding, between layers, on the output."""
    if dropouts[1] and num_layers == 1:
        yield "dropout: acts between layers, and there is one; use output_dropout, or 0."
    if locked and not any(dropouts):
        yield (
            "locked_dropout: has no effect without embedding_dropout, dropout or output_dropout; set one of them, or "
            "leave it out."
        )


def _backward(backward_layer: bool, num_layers: int) -> Iterator[str]:
    """A backward layer that no bidirectional model could begin with."""
    if backward_layer and num_layers > 1:
        yield (
            f"backward_layer: needs num_layers: 1, got {num_layers}; in a bidirectional model each layer above the "
            "first reads both directions of the one below. Leave one of them out."
        )


def _softmax(softmax: str, tied: bool, cutoffs: tuple[float, ...] | None, div_value: float | None) -> Iterator[str]:
    """Options of the output layer that are unknown or could not act."""
    if softmax not in ("full", "adaptive"):
        yield f"softmax: is '{softmax}', expected full or adaptive."
    if softmax == "full":
        for word, value in (("cutoffs", cutoffs), ("div_value", div_value)):
            if value is not None:
                yield f"{word}: has no effect with softmax: full; leave it out, or set softmax: adaptive."
        return
    if tied and div_value not in (None, 1):
        yield (
            f"div_value: is {div_value:g}, and tied weights have embedding_size numbers for every word; leave it out, "
            "or set tied: false."
        )
    if cutoffs is not None and (not cutoffs or list(cutoffs) != sorted(set(cutoffs))):
        yield f"cutoffs: are {list(cutoffs)}, expected rising shares of the vocabulary, such as {list(CUTOFFS)}."
