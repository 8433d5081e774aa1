"""What the token after each step is, over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import AdaptiveSoftmax, FullSoftmax
from recurra.nn.dropout import LockedDropout

# Shares of a vocabulary where clusters of an adaptive softmax begin. On WikiText-2 (33,278 words; 70 % of the text are
# the first 3 %) a step costs 8 % of the full softmax with weights as wide as h, and 3 % with div_value 4.
CUTOFFS = (0.03, 0.1, 0.25, 0.5)
DIV_VALUE = 4.0


class VocabularyHead(nn.Module):
    """Next-token prediction: after each step, a probability for every token of the vocabulary.

    outputs: "hidden" (T, N, D) and the output layer's tensors, as `recurra.nn.softmax_nats` reads them.
    In training also what `activation_penalties` reads, and with an encoder's backward layer "hidden.backward"
    (T - 1, N, D), which `backward_nats` reads. sizes: "tokens".
    Raises ConfigError, with all problems at once, for options that cannot take effect.
    """

    predicts_next = True

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        tied: Annotated[
            bool,
            Opt("weight tying: the output layer has the embedding's weights (Press & Wolf 2017; Inan et al. 2017)"),
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
        output_dropout: o.OutputDropout = 0.0,
        locked_dropout: o.LockedDropoutOption = False,
        activation_penalty: Annotated[
            float, Opt("weight of the mean square of the last layer's output in the loss (AR)", ge=0)
        ] = 0.0,
        temporal_penalty: Annotated[
            float, Opt("weight of the mean square of its change from step to step (TAR)", ge=0)
        ] = 0.0,
    ) -> None:
        super().__init__()
        problems = [*_tied(input_size, table if tied else None, tied), *_softmax(softmax, tied, cutoffs, div_value)]
        if locked_dropout and not output_dropout:
            problems.append("locked_dropout: has no effect without output_dropout; set it, or leave this one out.")
        if problems:
            raise ConfigError(problems)
        self.penalties = {"penalty.activation": activation_penalty, "penalty.temporal": temporal_penalty}
        self.dropout = (LockedDropout if locked_dropout else nn.Dropout)(output_dropout)
        self.num_tokens = V = sizes["tokens"]
        shared = table if tied else None
        if softmax == "full":
            self.output: nn.Module = FullSoftmax(V, input_size, shared)
        else:
            divisor = (1.0 if tied else DIV_VALUE) if div_value is None else div_value
            self.output = AdaptiveSoftmax(V, input_size, _first_tokens(cutoffs, V), divisor, shared)

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        more = self._penalised(encoded.outputs)
        if "backward" in encoded.more:
            more["hidden.backward"] = self.dropout(encoded.more["backward"])
        return {"hidden": self.dropout(encoded.outputs), **self.output(), **more}

    def _penalised(self, h: Tensor) -> dict[str, Tensor]:
        """What the penalties on the last layer's output h (T, N, D) need; nothing outside of training."""
        strengths = {name: h.new_tensor(value) for name, value in self.penalties.items() if value and self.training}
        return strengths | ({"activation": h} if strengths else {})

    def cannot_stream(self) -> list[str]:
        return []


def _first_tokens(cutoffs: tuple[float, ...] | None, num_tokens: int) -> list[int]:
    """The first token of each cluster: shares of the vocabulary, at least one token apart."""
    found: list[int] = []
    for share in cutoffs or CUTOFFS:
        found.append(max(round(share * num_tokens), found[-1] + 1 if found else 1))
    return found


def _tied(input_size: int, table: nn.Parameter | None, tied: bool) -> Iterator[str]:
    """Weights that cannot be shared."""
    if tied and table is None:
        yield "tied: the inputs have no table of vectors to share; set tied: false."
    elif table is not None and table.shape[1] != input_size:
        yield (
            f"tied: the output layer reads {input_size} numbers and a token's vector has {table.shape[1]}; make the "
            "encoder's outputs (hidden_size, or proj_size; of awd also last_layer) and embedding_size equal, or set "
            "tied: false."
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
