"""Constructors with every kind of option, as the tests of this room use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from recurra.base.option import OneOf, Opt
from recurra.base.registry import Registry
from recurra.config import Fixed, Schema

if TYPE_CHECKING:
    import torch

CELLS: Registry[str] = Registry("cell")
for word in ("lstm", "gru", "rnn"):
    CELLS.add(word, word)


Rate = Annotated[float, Opt("step size", gt=0)]


def sgd(
    params: list[torch.Tensor],
    *,
    lr: Rate = 0.1,
    momentum: Annotated[float, Opt("share of the last step that is kept", ge=0, lt=1)] = 0.0,
    nesterov: Annotated[bool, Opt("look ahead")] = False,
) -> tuple[Any, ...]:
    if nesterov and momentum == 0:
        raise ValueError("nesterov: has no effect without momentum. Set momentum, or leave nesterov out.")
    return "sgd", params, lr, momentum, nesterov


def adam(
    params: list[torch.Tensor],
    *,
    lr: Annotated[float, Opt("step size", gt=0)] = 0.001,
    betas: Annotated[tuple[float, float], Opt("decay of the two averages", ge=0, lt=1)] = (0.9, 0.999),
) -> tuple[Any, ...]:
    return "adam", params, lr, betas


OPTIMIZERS: Registry[Callable[..., Any]] = Registry("optimizer")
OPTIMIZERS.add("sgd", sgd)
OPTIMIZERS.add("adam", adam)


@dataclass(frozen=True, kw_only=True)
class Loop:
    epochs: Annotated[int, Opt("passes over the training data", ge=1, le=1000)] = 10
    optimizer: Annotated[Any, OneOf("how weights follow gradients", OPTIMIZERS)] = "adam"
    second: Annotated[Any, OneOf("another one", OPTIMIZERS)] = None
    clip: Annotated[float | None, Opt("largest gradient norm; null does not clip", gt=0)] = 1.0
    patience: Annotated[int | Literal["auto"], Opt("epochs without a better score", ge=1)] = "auto"


class Classifier:
    def __init__(
        self,
        num_tokens: int,
        *,
        cell: Annotated[str, Opt("recurrent cell", choices=CELLS)] = "lstm",
        hidden_size: Annotated[int, Opt("units per layer and direction", ge=1)] = 128,
        layers: Annotated[int, Opt("stacked layers", ge=1)] = 1,
        dropout: Annotated[float, Opt("share of outputs dropped between layers", ge=0, lt=1)] = 0.0,
        bidirectional: Annotated[bool, Opt("read the sequence both ways")] = True,
        pooling: Annotated[Literal["last", "mean", "max"], Opt("how states become one vector")] = "mean",
        device: torch.device | None = None,
    ) -> None:
        if dropout and layers == 1:
            raise ValueError("dropout: has no effect with one layer. Set layers: 2, or dropout: 0.")
        self.given = (num_tokens, cell, hidden_size, layers, dropout, bidirectional, pooling, device)


class Tiny:
    """A component without options."""


def classification(
    *,
    text: Annotated[str, Opt("column that holds the text")],
    labels: Annotated[tuple[str, ...], Opt("the labels, in order")] = (),
    weights: Annotated[dict[str, float] | None, Opt("weight of a class in the loss", gt=0)] = None,
    metrics: Annotated[list[str], Opt("what is reported", choices=("accuracy", "f1"))] = ["accuracy"],  # noqa: B006
) -> tuple[Any, ...]:
    return text, labels, weights, metrics


MODELS: Registry[Callable[..., Any]] = Registry("model")
MODELS.add("classifier", Classifier)
MODELS.add("tiny", Tiny)
TASKS: Registry[Callable[..., Any]] = Registry("task")
TASKS.add("classification", classification)

SCHEMA = Schema(
    "A config of the tests.",
    {"task": OneOf("what to learn", TASKS), "model": OneOf("the network", MODELS), "training": Fixed("the loop", Loop)},
    {"model": "classifier"},
)
GOOD = "task: {name: classification, text: t}\n"
