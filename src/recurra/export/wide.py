"""The wide part of a model as ONNX: what it reads, and the outputs with its share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.heads import Said
from recurra.export.onnx_graph import FLOAT, Drawing, Value
from recurra.export.parts import Named
from recurra.models.ngrams import NOTHING, NGramFeatures
from recurra.models.wide import Bag, NoWide

# n-grams of a text that are compared, at most.
MOST_NGRAMS = 40


@dataclass(frozen=True, slots=True)
class Beside:
    """outputs: the head's, with the wide part's share      ask: (random numbers, N) -> what it reads, by name"""

    outputs: Mapping[str, Said]
    ask: Callable[[np.random.Generator, int], Named]


def drawn(draw: Drawing, wide: nn.Module, outputs: Mapping[str, Said]) -> Beside:
    """Draw a wide part. Raises ConfigError for one that is not known."""
    writer = WRITERS.get(type(wide))
    if writer is None:
        raise ConfigError(
            f"export: there is no way to write a wide part {type(wide).__name__} as ONNX; train with model.wide: none."
        )
    return writer(draw, wide, outputs)


def _none(draw: Drawing, wide: NoWide, outputs: Mapping[str, Said]) -> Beside:
    return Beside(outputs, lambda random, N: {})


def _bag(draw: Drawing, bag: Bag, outputs: Mapping[str, Said]) -> Beside:
    """logits = a (W^T x + b) + c (the head's logits): as `Bag.forward`."""
    ids, x = counted(draw, bag)
    each = draw.put("Mul", draw.put("Gather", draw.weight(bag.weight, "ngrams"), ids, axis=0), draw.spread(x, 2))
    ours = draw.put("ReduceSum", each, draw.integers(0), keepdims=0)
    ours = draw.put("Add", ours, draw.weight(bag.bias, "bias"))
    shares = [draw.constant(float(share)) for share in bag.share]
    parts = [
        draw.put("Mul", value, share) for value, share in zip((ours, outputs["logits"].value), shares, strict=True)
    ]
    logits = replace(outputs["logits"], value=draw.put("Add", *parts))

    return Beside({**outputs, "logits": logits}, lambda random, N: ask_ngrams(random, N, len(bag.scale)))


def counted(draw: Drawing, bag: NGramFeatures) -> tuple[Value, Value]:
    """Numbers of n-grams (G, N) and what each counts, 0 where padded: as `NGramFeatures.features`."""
    ids = draw.input("ngrams", np.int64, ("G", "N"))
    counts = draw.input("ngram_counts", np.float32, ("G", "N"))
    real = draw.put("Greater", counts, draw.constant(0.0))
    ids = draw.put("Where", real, ids, draw.constant(0, np.int64))
    often = _weighted(draw, draw.where(real, counts, 1.0), bag.weighting)
    scale = draw.put("Gather", draw.weight(bag.scale, "scale"), ids, axis=0)
    x = draw.where(real, draw.put("Mul", often, scale))
    words, square = draw.put("Less", ids, draw.constant(bag.words, np.int64)), draw.put("Mul", x, x)
    kinds = draw.where(words, square), draw.where(words, draw.constant(0.0), square)
    first, second = (draw.put("ReduceSum", kind, draw.integers(0), keepdims=1) for kind in kinds)
    square = draw.put("Mul", draw.where(words, first, second), draw.constant(float(bag.kinds)))
    return ids, draw.put("Div", x, draw.put("Sqrt", draw.put("Max", square, draw.constant(NOTHING))))


def ask_ngrams(random: np.random.Generator, N: int, size: int) -> Named:
    """n-grams of some texts, with how often each is there."""
    G = int(random.integers(1, MOST_NGRAMS))
    return {
        "ngrams": random.integers(0, size, (G, N)),
        "ngram_counts": random.integers(0, 6, (G, N)).astype(np.float32),
    }


def _weighted(draw: Drawing, counts: Value, weighting: str) -> Value:
    """As `recurra.models.wide.bag.weighted`."""
    if weighting == "tfidf":
        return draw.put("Add", draw.put("Log", counts), draw.constant(1.0))
    if weighting == "counts":
        return counts
    return draw.put("Cast", draw.put("Greater", counts, draw.constant(0.0)), to=FLOAT)


# The type of a wide part -> what draws it
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, Mapping[str, Said]], Beside]] = {NoWide: _none, Bag: _bag}
