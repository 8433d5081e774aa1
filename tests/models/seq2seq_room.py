"""Small batches and models for the tests of sequence to sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.models_room import seq2seq
from recurra.base.contracts import Batch
from recurra.models import EncoderDecoder

V = 12  # tokens 4..11 are ordinary ones
SOURCES = ([5, 6, 7, 8, 4], [9, 4], [], [6, 6, 6])
# What a source says in the target vocabulary: 12 and up are words that are not in it.
COPIES = ([5, 6, 12, 8, 4], [12, 13], [], [6, 12, 6])
TARGETS = ([2, 5, 6], [2, 4, 7, 8, 9], [2], [2, 12, 5])


def padded(rows: Sequence[Sequence[int]], padding: int = 0) -> Tensor:
    T = max((len(row) for row in rows), default=0)
    table = [[row[t] if t < len(row) else padding for row in rows] for t in range(T)]
    return torch.tensor(table, dtype=torch.int64).reshape(T, len(rows))


def batch(
    sources: Sequence[Sequence[int]] = SOURCES,
    targets: Sequence[Sequence[int]] = TARGETS,
    copies: Sequence[Sequence[int]] | None = None,
    padding: int = 0,
) -> Batch:
    """With `copies`, for a model that copies; without, words that are not in the vocabulary become token 1."""
    known = targets if copies is not None else [[t if t < V else 1 for t in row] for row in targets]
    inputs = {
        "tokens": padded(sources, padding),
        "target": padded(known, padding),
        "target_lengths": torch.tensor([len(row) for row in targets], dtype=torch.int64),
    }
    if copies is not None:
        inputs["source_copy"] = padded(copies, padding)
    lengths = torch.tensor([len(row) for row in sources], dtype=torch.int64)
    return Batch(inputs, lengths, {}, tuple(range(len(sources))))


def small(**options: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    return seq2seq(V, V, **{"embedding_size": 4, "hidden_size": 4, **options})


def log_probs(outputs: Any) -> Tensor:
    """(S, N, V), as a task makes them of the model's outputs."""
    if "log_probs" in outputs:
        found: Tensor = outputs["log_probs"]
        return found
    return torch.log_softmax(outputs["hidden"] @ outputs["weight"].T + outputs["bias"], -1)
