"""What `init` chooses by the size of the data: batches, epochs and rate, each with its reason; a task adds its own.

Chosen by dev scores on public data sets (docs/results.md, "What init writes"); benchmarks/defaults.py measures it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from recurra.base.contracts import Record
from recurra.tasks.columns import values

Options = Mapping[str, Any]
# Why there is dropout.
AGAINST_OVERFITTING = "against overfitting: learning rows by heart"
# Tokens that training reads at most, in all its epochs: about ten minutes of one core.
MOST_TOKENS = 15_000_000
# Steps that a training has at least, however few rows there are.
LEAST_STEPS = 400
# Tokens for each different one, from where on a text has few different ones: words have 4 to 20, characters hundreds.
MANY_REPEATS = 40


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a config, and why it is so: a short clause for its comment. path: such as "training.epochs"."""

    path: str
    value: Any
    why: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The first rows of a file, and how many rows it has in all, about. head: that was asked for; "": the usual one"""

    rows: Sequence[Record]
    number: int
    head: str = ""

    @property
    def words(self) -> str:
        """`about 25,000 rows`: of more rows than were looked at the number is estimated."""
        if self.number == len(self.rows):
            return f"{self.number:,} rows"
        return f"about {float(f'{self.number:.2g}'):,.0f} rows"


def in_words(choices: Sequence[Choice], seen: Seen) -> str:
    """How long training is by these choices, and how large the encoder where that is chosen, without a full stop."""
    value = {choice.path: choice.value for choice in choices}
    passes, rows = value["training.epochs"], value["training.batch_rows"]
    said = f"training: {seen.words}, so {passes} epochs in batches of {rows} rows"
    said += "".join(f"; {c.path}: {c.value}, for {c.why}" for c in choices if c.path == "task.likelihood")
    if "model.encoder.num_layers" not in value:
        return said
    return f"{said}, an encoder of {value['model.encoder.num_layers']} layers of {value['model.encoder.hidden_size']}"


def usual(seen: Seen) -> list[Choice]:
    """The choices for a task that makes none of its own."""
    return training(seen, batch=batch_rows(seen.number), epochs=10)


def training(seen: Seen, *, batch: int, epochs: int, optimizer: str = "adam", steps: int | None = None) -> list[Choice]:
    """Those of the section `training`. steps: in all, where they are not rows by batches"""
    total = steps or -(-seen.number // batch) * epochs
    return [
        Choice("training.epochs", epochs, f"about {float(f'{total:.2g}'):,.0f} steps in all"),
        Choice("training.batch_rows", batch, f"{seen.words}: small batches make enough steps"),
        Choice("training.optimizer", {"name": optimizer, "lr": 0.003}),
        Choice("training.schedule", {"name": "cosine", "warmup": 0.05}, "the last steps are small ones"),
        Choice("training.patience", None, "a share of the steps counts instead"),
        Choice("training.patience_share", 0.5, "the score may stand still until the rate falls"),
    ]


def units(seen: Seen, number: int, *, few: bool) -> Choice:
    """So many hidden units. few: whether more rows would have more"""
    why = "more units would overfit" if few else "enough for more units"
    return Choice("model.encoder.hidden_size", number, f"{seen.words}: {why}")


def batch_rows(number: int) -> int:
    """8 to 64 rows: a few hundred rows in batches of 64 are a handful of steps an epoch, too few to learn anything."""
    return 8 if number < 400 else 16 if number < 6000 else 32 if number < 15_000 else 64


def epochs(number: int, batch: int, *, at_1000: int, power: float, tokens: float, most: int = 50) -> int:
    """Passes: so many of 1,000 rows, fewer of more rows by a power of their number, and of long texts, two at least."""
    wanted = max(at_1000 * math.pow(1000 / max(number, 1), power), LEAST_STEPS * batch / max(number, 1))
    if tokens:
        wanted = min(wanted, max(MOST_TOKENS / tokens, 3))
    return round(min(max(wanted, 2), most))


def repeats(rows: Sequence[Record], column: str, *, characters: bool) -> float:
    """Tokens for each different one."""
    tokens = [token for text in values(rows, column) for token in (text if characters else text.lower().split())]
    return len(tokens) / max(len(set(tokens)), 1)


def mean_length(rows: Sequence[Record], column: str, *, characters: bool) -> float:
    """Tokens of a text, on average."""
    return mean(len(text) if characters else len(text.split()) for text in values(rows, column))


def reads_characters(tokenizer: Any) -> bool:
    """Whether an option, a word or a section, is the tokenizer of single characters."""
    return (tokenizer.get("name") if isinstance(tokenizer, Mapping) else tokenizer) == "characters"
