"""What can be looked into while a model answers: what a task says of it, and what is common to several tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.base.errors import ConfigError
from recurra.nn import Recurrent
from recurra.report import Chart, HeatMap

if TYPE_CHECKING:
    from recurra.tasks.contract import Task


@dataclass(frozen=True, slots=True)
class ExplanationTarget:
    """One text or series, its answer, and what can be seen of them.

    answer:  as `predict` gives it      tokens: what is read, a token a step
    entry:   the layers that read them      backwards: whether they read the last token first
    reads:   by the beginning of a layer's name, the tokens that it reads; other layers are not shown
    copies:  a batch of so many equal rows, with the answer where the score needs it
    score:   what is explained, summed over the rows; meaning: in words
    maps, tables, lines, charts: what this task has besides; lines are for a terminal, and a page shows them as they are
    unit:    what a token is called      features: names of the numbers that a step reads, where these mean something
    model:   what is asked in place of the run's model, where `entry` is no part of that
    name:    of what is answered, where it is no text
    """

    answer: dict[str, Any]
    tokens: tuple[str, ...]
    entry: torch.nn.Module
    reads: Mapping[str, tuple[str, ...]]
    copies: Callable[[int], Batch]
    score: Callable[[Prediction, Batch], Tensor]
    meaning: str
    maps: tuple[HeatMap, ...] = ()
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    unit: str = "token"
    features: tuple[str, ...] = ()
    backwards: bool = False
    charts: tuple[Chart, ...] = ()
    model: torch.nn.Module | None = None
    name: str = ""


def answer_of(task: Task, model: torch.nn.Module, example: Any, device: torch.device) -> Any:
    """What a task predicts for one example."""
    with torch.inference_mode():
        (found,) = task.predict(model, task.collate([example], [0]).to(device), [example])
    return found


def copies_of(task: Task, example: Any, device: torch.device) -> Callable[[int], Batch]:
    """Batches of so many rows, each of them this example."""
    return lambda number: task.collate([example] * number, range(number)).to(device)


def entry_of(model: torch.nn.Module) -> torch.nn.Module:
    """The recurrent layers that read the inputs, or the encoder where it has none.

    Raises ConfigError for a model without encoder.
    """
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, torch.nn.Module):
        raise ConfigError(f"the model {type(model).__name__} has no encoder to look into.")
    return next((layer for layer in encoder.modules() if isinstance(layer, Recurrent)), encoder)


def beside_largest(nats: Sequence[float]) -> tuple[float, list[list[float]]]:
    """The largest of these nats, and a row of a heat map: each beside it."""
    largest = max(max(nats), 1e-9)
    return largest, [[one / largest for one in nats]]


def tree(leaves: Sequence[tuple[Sequence[str], float]]) -> Iterator[str]:
    """Sequences of tokens with their probabilities as a tree of what they begin with in common, best first."""
    yield from _branches(list(leaves), 0, "  ")


def _branches(leaves: list[tuple[Sequence[str], float]], depth: int, margin: str) -> Iterator[str]:
    """The leaves below one node, at whose depth they part; each group of equal next tokens is a branch."""
    groups: dict[str | None, list[tuple[Sequence[str], float]]] = {}
    for tokens, chance in leaves:
        groups.setdefault(tokens[depth] if depth < len(tokens) else None, []).append((tokens, chance))
    for k, group in enumerate(groups.values()):
        last = k + 1 == len(groups)
        stop = _common(group, depth)
        part = " ".join(group[0][0][depth:stop]) or "(end)"
        chance = sum(chance for _, chance in group)
        yield f"{margin}{'└' if last else '├'} {part}  {chance:.1%}"
        if len(group) > 1:
            yield from _branches(group, stop, margin + ("  " if last else "│ "))


def _common(group: Sequence[tuple[Sequence[str], float]], depth: int) -> int:
    """How many tokens all of a group begin with."""
    shortest = min(len(tokens) for tokens, _ in group)
    first = group[0][0]
    return next((k for k in range(depth, shortest) if any(t[k] != first[k] for t, _ in group)), shortest)
