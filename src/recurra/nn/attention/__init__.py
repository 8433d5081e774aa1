"""Attention: for each query, a weighted mean of a memory. Each is built from a word: `ATTENTIONS[word](Q, M, ...)`.

memory      what is attended to, prepared once a batch; the softmax over real positions
scores      how well a query fits a position: additive, dot, general, concat, scaled dot product
queries     one step or many, in and out
regions     where to look: everywhere, a window that moves with the step, a window at a predicted position
single      a score and a region become attention: prepare, attend
multi_head  several scaled dot products side by side
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.nn.attention.memory import Memory
from recurra.nn.attention.multi_head import MultiHead
from recurra.nn.attention.regions import Everywhere, Monotonic, Predictive
from recurra.nn.attention.scores import Additive, Concat, Dot, General, ScaledDot
from recurra.nn.attention.single import Attends, Attention

SCORES: Registry[Callable[[int, int], Additive | Concat | Dot | General | ScaledDot]] = Registry("score")
SCORES.add("general", General)
SCORES.add("dot", Dot)
SCORES.add("concat", Concat)
SCORES.add("additive", Additive)
SCORES.add("scaled_dot", ScaledDot)

Window = Annotated[int, Opt("positions on either side of the centre, D", ge=1, le=1_000_000)]
Score = Annotated[str, Opt("how a query is compared with a position", choices=SCORES)]
HiddenSize = Annotated[int | None, Opt("units of the alignment network; null is the decoder's width", ge=1, le=65_536)]


def none(query_size: int, memory_size: int) -> None:
    """No attention: the decoder gets one vector of the source, whatever its length."""


def additive(
    query_size: int,
    memory_size: int,
    *,
    hidden_size: HiddenSize = None,
    coverage: Annotated[bool, Opt("show the score what has been attended to so far (See et al. 2017)")] = False,
) -> Attention:
    """A one-layer network over the decoder's state and each position (Bahdanau et al. 2015)."""
    score = Additive(query_size, memory_size, hidden_size, coverage=coverage)
    return Attention(score, Everywhere(), query_size=query_size, memory_size=memory_size)


def dot(query_size: int, memory_size: int) -> Attention:
    """The dot product of state and position; both must be of one size (Luong et al. 2015)."""
    return Attention(Dot(query_size, memory_size), Everywhere(), query_size=query_size, memory_size=memory_size)


def general(query_size: int, memory_size: int) -> Attention:
    """The dot product after one matrix (Luong et al. 2015)."""
    return Attention(General(query_size, memory_size), Everywhere(), query_size=query_size, memory_size=memory_size)


def concat(query_size: int, memory_size: int, *, hidden_size: HiddenSize = None) -> Attention:
    """A one-layer network over state and position, joined (Luong et al. 2015)."""
    score = Concat(query_size, memory_size, hidden_size)
    return Attention(score, Everywhere(), query_size=query_size, memory_size=memory_size)


def scaled_dot(query_size: int, memory_size: int) -> Attention:
    """The dot product over the root of its size (Vaswani et al. 2017)."""
    return Attention(ScaledDot(query_size, memory_size), Everywhere(), query_size=query_size, memory_size=memory_size)


def multi_head(
    query_size: int,
    memory_size: int,
    *,
    num_heads: Annotated[int, Opt("attentions side by side; a divisor of the decoder's width", ge=1, le=1024)] = 4,
) -> MultiHead:
    """Several scaled dot products side by side, each on its own projections (Vaswani et al. 2017)."""
    return MultiHead(query_size, memory_size, num_heads=num_heads)


def local_monotonic(query_size: int, memory_size: int, *, window: Window = 10, score: Score = "general") -> Attention:
    """A window around the position of the decoder's own step (Luong et al. 2015, local-m)."""
    scored = SCORES[score](query_size, memory_size)
    return Attention(scored, Monotonic(window), query_size=query_size, memory_size=memory_size)


def local_predictive(
    query_size: int,
    memory_size: int,
    *,
    window: Window = 10,
    score: Score = "general",
    normalize: Annotated[bool, Opt("weights sum to one under the Gaussian, which in the paper they do not")] = True,
) -> Attention:
    """A window around a position that the state predicts, under a Gaussian (Luong et al. 2015, local-p)."""
    scored = SCORES[score](query_size, memory_size)
    region = Predictive(query_size, window, normalize=normalize)
    return Attention(scored, region, query_size=query_size, memory_size=memory_size)


# (query size, memory size, *, options) -> the attention, or None for `none`
ATTENTIONS: Registry[Callable[..., Attention | MultiHead | None]] = Registry("attention")
ATTENTIONS.add("none", none)
ATTENTIONS.add("additive", additive)
ATTENTIONS.add("dot", dot)
ATTENTIONS.add("general", general)
ATTENTIONS.add("concat", concat)
ATTENTIONS.add("scaled_dot", scaled_dot)
ATTENTIONS.add("multi_head", multi_head)
ATTENTIONS.add("local_monotonic", local_monotonic)
ATTENTIONS.add("local_predictive", local_predictive)

__all__ = [
    "ATTENTIONS",
    "SCORES",
    "Attends",
    "Attention",
    "Memory",
    "MultiHead",
]
