"""What a report shows of a language model: loss by position and by frequency, and what it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recurra.base.contracts import Table
from recurra.data.tokenizers import UNK
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.report import Chart, Curve
from recurra.tasks.language_model.scoring import doubling_bins

if TYPE_CHECKING:
    from recurra.tasks.language_model.generation import Generator

# Ranks of tokens by their frequency in training, at which the rows of a table end.
RANKS = (10, 100, 1_000, 10_000)
# Samples of a report: by temperature, so many characters each.
TEMPERATURES = (0.5, 0.8, 1.0)
SAMPLE = 400


def by_rank(targets: Sequence[int], nats: Sequence[float]) -> Table:
    """Mean nats of the targets that were most frequent in training, less frequent, ..., unknown."""
    groups: dict[str, list[float]] = {}
    for target, value in zip(targets, nats, strict=True):
        groups.setdefault(_group(target), []).append(value)
    rows = [
        (name, len(values), len(values) / len(nats), round(math.fsum(values) / len(values), 4))
        for name in _names()
        if (values := groups.get(name))
    ]
    return Table("Loss by frequency in training", ("rank of the token", "tokens", "share", "nats"), tuple(rows))


def position_chart(places: Sequence[int], nats: Sequence[float]) -> Chart:
    """Mean nats of the targets 0, 1, 2-3, 4-7, ... of their documents, one step of the axis for each."""
    points = tuple((float(first.bit_length()), mean) for first, _, _, mean in doubling_bins(places, nats))
    title, axis = "Loss by position in the document", "tokens before it: 0, 1, and on to less than 2 to the power of"
    return Chart(title, axis, "nats per token", (Curve("loss", points),))


def samples_table(writer: Generator) -> Table:
    """A text at each temperature, from the beginning of a document."""
    rows = tuple((f"{t:g}", writer.sample("", temperature=t, seed=1, characters=SAMPLE)) for t in TEMPERATURES)
    return Table("Written by the model", ("temperature", "text"), rows)


def _group(target: int) -> str:
    if target == UNK:
        return "unknown"
    rank = target - len(SPECIALS) + 1
    return next((name for name, last in zip(_names(), RANKS, strict=False) if rank <= last), _names()[len(RANKS)])


def _names() -> tuple[str, ...]:
    firsts = (1, *(rank + 1 for rank in RANKS))
    return (
        *(f"{first:,} to {last:,}" for first, last in zip(firsts, RANKS, strict=False)),
        f"{firsts[-1]:,} and on",
        "unknown",
    )
