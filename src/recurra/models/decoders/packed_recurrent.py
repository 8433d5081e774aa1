"""A recurrent decoder's parts as native code takes whole steps of them, where they are such as it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from recurra.engine import Stepper
from recurra.engine.recurrent_decoder import (
    Feeds,
    Reads,
    RecurrentDecoderNumbers,
    RecurrentDecoderPlan,
    RowsAfter,
    RowsBefore,
    ScoreNumbers,
    Sources,
)
from recurra.engine.transformer import LinearNumbers
from recurra.models.decoders.readout import Maxout, State, Tanh
from recurra.nn import Embedding, SteadyLinear
from recurra.nn.attention import Attends, Attention
from recurra.nn.attention.regions import Everywhere
from recurra.nn.attention.scores import Additive, Concat, Dot, General, ScaledDot

READOUTS: dict[type, Reads] = {State: "state", Tanh: "tanh", Maxout: "maxout"}


@dataclass(frozen=True, slots=True)
class PackedSteps:
    """What takes whole steps. sources: what attention looks at; summary: (N, M), of the sources, where it is fed"""

    plan: RecurrentDecoderPlan
    layers: Sequence[Stepper]
    sources: Sources | None
    summary: Tensor | None

    def log_probs(self, tokens: Tensor, before: RowsBefore) -> tuple[Tensor, RowsAfter]:
        """(B, V) of what comes after tokens (B,), and the rows after the step."""
        return self.plan.log_probs(tokens, before, self.layers, self.sources, self.summary)

    def best(self, tokens: Tensor, before: RowsBefore, k: int) -> tuple[Tensor, Tensor, RowsAfter]:
        """The k greatest of them, and their tokens (B, k)."""
        return self.plan.best(tokens, before, self.layers, self.sources, self.summary, k)


def numbers_of(
    *,
    embedding: nn.Module,
    attention: Attends | None,
    readout: nn.Module,
    output: nn.Module,
    widths: tuple[int, int],
    attends: Literal["before", "after"] | None,
    feeds: Feeds,
) -> RecurrentDecoderNumbers | None:
    """Of a decoder's parts; None where one is of a kind that native code does not know.

    widths: of the state that attends and is read, and of the context
    """
    score = None if attention is None else _score_of(attention)
    word = READOUTS.get(type(readout))
    joint = getattr(readout, "joint", None)
    if (
        type(embedding) is not Embedding
        or (attention is not None and score is None)
        or word is None
        or not _are_linear(output, *(() if joint is None else (joint,)))
    ):
        return None
    assert isinstance(output, nn.Linear)
    width, context = widths
    return RecurrentDecoderNumbers(
        table=embedding.weight,
        width=width,
        context=context,
        score=score,
        readout=word,
        joint=None if joint is None else LinearNumbers(joint.weight, joint.bias),
        output=LinearNumbers(output.weight, output.bias),
        attends=attends,
        feeds=feeds,
    )


def _score_of(attention: Attends) -> ScoreNumbers | None:
    """How it compares; None where it is of several heads, looks through a window, or reads where it has looked."""
    if type(attention) is not Attention or type(attention.region) is not Everywhere or attention.covers:
        return None
    score, size = attention.score, attention.query_size
    if type(score) is Dot:
        return ScoreNumbers(size)
    if type(score) is ScaledDot:
        return ScoreNumbers(size, scale=score.scale)
    if type(score) is General and _are_linear(score.key):
        return ScoreNumbers(size)
    if type(score) is Additive and _are_linear(score.query, score.key, score.energy):
        query = LinearNumbers(score.query.weight, score.query.bias)
        return ScoreNumbers(len(score.query.weight), query, score.energy.weight[0])
    if type(score) is Concat and _are_linear(score.joint, score.energy):
        query = LinearNumbers(score.joint.weight[:, : score.sizes[0]], None)
        return ScoreNumbers(len(score.joint.weight), query, score.energy.weight[0])
    return None


def _are_linear(*modules: nn.Module) -> bool:
    return all(type(one) in (nn.Linear, SteadyLinear) for one in modules)


def fit_together(states: Sequence[Sequence[Tensor]], layers: Sequence[Stepper], given: Tensor | None) -> bool:
    """Whether first states, and what is fed, are such as the layers and native code read: float32 on the CPU."""
    tensors = [s for layer in states for s in layer] + ([] if given is None else [given])
    shapes = [s.shape[1:] for layer in states for s in layer]
    wanted = [torch.Size((width,)) for layer in layers for width in layer.widths]
    return shapes == wanted and all(t.dtype is torch.float32 and t.is_cpu for t in tensors)
