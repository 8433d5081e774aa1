"""From examples to outputs: batches of like lengths, one pass of the model, answers in the order of the questions."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch

from recurra.api.defaults import in_float32
from recurra.api.interrupts import Stopped
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.data.batches import Batches, epoch_batches
from recurra.data.prefetch import prefetched
from recurra.data.store import Reread, gathered_of, lengths_of
from recurra.data.windows import ordered_batches
from recurra.tasks import AnswersWide, DecodesInCollate, JoinsOutputs, Task

# Enough to keep the cores busy, little enough for a laptop: 256 sequences of 64 tokens.
BATCH_TOKENS, BATCH_ROWS = 16_384, 256
T = TypeVar("T")
B = TypeVar("B")
M = TypeVar("M", bound=torch.nn.Module)


@in_float32
def outputs(
    model: torch.nn.Module,
    task: Task,
    examples: Sequence[Any],
    *,
    device: torch.device,
    stop: Callable[[], signal.Signals | None] = lambda: None,
) -> Sequence[Any]:
    """The task's output for each example, in order. Raises Stopped between two batches, when `stop` has a signal."""
    parts: list[Sequence[Any]] = []
    tokens, rows = task.answer_batch if isinstance(task, AnswersWide) else (BATCH_TOKENS, BATCH_ROWS)
    plan = _plan(examples, token_budget=tokens, max_sequences=rows)
    if model.training:  # to go through all of its parts takes longer than one of them
        model.eval()

    def collated(indices: tuple[int, ...]) -> tuple[Sequence[Any], Batch]:
        some = gathered_of(examples, indices)  # once: of rows in files they are made anew
        return some, task.collate(some, indices).to(device)

    with torch.inference_mode(), closing(ahead(task, plan, collated)) as batches:
        for some, batch in batches:
            if (number := stop()) is not None:
                raise Stopped(number)
            parts.append(task.predict(model, batch, some))
    return _in_order(task, parts, plan)


def _plan(examples: Sequence[Any], **limits: int) -> Batches:
    """By length; rows that stay in their files are read once, whatever their lengths."""
    lengths = lengths_of(examples)
    if isinstance(examples, Reread):
        return ordered_batches(lengths, buffer=examples.buffer, **limits)
    return epoch_batches(lengths, **limits, seed=0, epoch=0, shuffle=False)


def _in_order(task: Task, parts: Sequence[Sequence[Any]], plan: Batches) -> Sequence[Any]:
    """The outputs of batches in the order of the examples."""
    if isinstance(task, JoinsOutputs) and parts:
        return task.joined_outputs(parts, np.argsort(np.concatenate([*plan]), kind="stable"))
    found: list[Any] = [None] * sum(map(len, plan))
    for indices, outputs in zip(plan, parts, strict=True):
        for index, output in zip(indices, outputs, strict=True):
            found[index] = output
    return found


def ahead(task: Task, items: Iterable[T], collate: Callable[[T], B]) -> Generator[B, None, None]:
    """The batches of items in order; of a task that decodes in collate the next one is made while one is used."""
    if isinstance(task, DecodesInCollate) and task.decodes:
        yield from prefetched(items, collate)
    else:
        yield from map(collate, items)


def moved(model: M, device: torch.device) -> M:
    """The model, on a device. Asked first: to go through all parts of a BERT takes as long as a third of its layers."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return model if first is not None and first.device == device else model.to(device)


def device_of(word: str) -> torch.device:
    """A device by its word; "auto" takes CUDA where there is one.

    Raises ConfigError for a word that torch does not know, or a device that is not there or holds no numbers (meta).
    """
    if word == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(word)
        torch.zeros(1, dtype=torch.float32, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        others = "cuda, cpu or auto" if torch.cuda.is_available() else "cpu or auto"
        raise ConfigError(f"device '{word}' cannot be used: {reason.rstrip('.')}. Use {others}.") from None
    return device
