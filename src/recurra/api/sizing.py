"""What `init` chooses by the size of the data: batches, epochs, rate, dropout and units, each with its reason.

Chosen by dev scores on public data sets (docs/results.md, "What init writes"); benchmarks/defaults.py measures it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.schemes import PLAIN, detected
from recurra.tasks import TaggingConfig
from recurra.tasks.columns import values

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a config, and why it is so: a short clause for its comment. path: such as "training.epochs"."""

    path: str
    value: Any
    why: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The first rows of a file, and how many rows it has in all, about."""

    rows: Sequence[Record]
    number: int

    @property
    def words(self) -> str:
        """`about 25,000 rows`: of more rows than were looked at the number is estimated."""
        if self.number == len(self.rows):
            return f"{self.number:,} rows"
        return f"about {float(f'{self.number:.2g}'):,.0f} rows"


def sized(task: str, options: Options, seen: Seen) -> list[Choice]:
    """The choices for a task. options: those of its section, as they were suggested"""
    return _SIZED[task](options, seen) if task in _SIZED else _training(seen, batch=_batch(seen.number), epochs=10)


def in_words(choices: Sequence[Choice], seen: Seen) -> str:
    """How long training is by these choices, and where the reasons are."""
    value = {choice.path: choice.value for choice in choices}
    epochs, rows = value["training.epochs"], value["training.batch_rows"]
    return f"training: {seen.words}, so {epochs} epochs in batches of {rows} rows; the config says why, after `here:`."


def _classification(options: Options, seen: Seen) -> list[Choice]:
    reads_characters = _name(options.get("tokenizer")) == "characters"
    length = _mean_length(seen.rows, options["text"], reads_characters)
    batch = _batch(seen.number)
    epochs = _epochs(seen.number, batch, at_1000=10, power=0.25, tokens=seen.number * length)
    small = seen.number < 50_000
    repeats = _repeats(seen.rows, options["text"], reads_characters)
    if repeats > MANY_REPEATS:  # few different tokens: nothing to learn by heart, and their order may be what counts
        return [
            Choice("model.head.pooling", "concat", "few different tokens: where they stand may count"),
            Choice("model.inputs.embedding_dropout", 0.1, _AGAINST_OVERFITTING),
            Choice("model.head.output_dropout", 0.1, _AGAINST_OVERFITTING),
            *_training(seen, batch=batch, epochs=2 * epochs, optimizer="adamw"),
        ]
    rare = [Choice("task.min_count", 2, "what occurs once teaches what an unknown word means")]
    return [
        *(rare if seen.number >= 500 else []),
        _units(seen, 64 if small else 128, small),
        _pooling(seen.number),
        Choice("model.inputs.word_dropout", 0.3 if small else 0.1, "no word alone may decide"),
        Choice("model.inputs.embedding_dropout", 0.5, _AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.5 if small else 0.3, _AGAINST_OVERFITTING),
        *_training(seen, batch=batch, epochs=epochs, optimizer="adamw"),
    ]


def _units(seen: Seen, units: int, few: bool) -> Choice:
    why = "more units would overfit" if few else "enough for more units"
    return Choice("model.encoder.hidden_size", units, f"{seen.words}: {why}")


def _pooling(number: int) -> Choice:
    """Mean or max: the gradient of a maximum reaches only the steps that win, and few rows have few of those."""
    if number < MANY_TEXTS:
        return Choice("model.head.pooling", "mean", "every word of a text teaches, where there are few texts")
    return Choice("model.head.pooling", "max", "one word is often enough to tell the label")


def _tagging(options: Options, seen: Seen) -> list[Choice]:
    spans = _has_spans(options, seen.rows)
    batch = _batch(seen.number)
    epochs = _epochs(seen.number, batch, at_1000=24, power=0.4, tokens=seen.number * 20)
    task = [Choice("task.scheme", "iobes", "the model learns where a name ends, too")] if spans else []
    output = (
        Choice("model.head.output", "crf", "a tag must fit the one before it")
        if spans
        else (Choice("model.head.output", "softmax", "a tag is told by its sentence rather than by the tag before it"))
    )
    dropout = 0.5 if seen.number < 10_000 else 0.3
    return [
        *task,
        output,
        Choice("model.inputs.character_size", 64, "words that training never saw are told by their letters"),
        Choice("model.inputs.character_embedding_size", 32),
        _units(seen, 100 if seen.number < 10_000 else 200, seen.number < 10_000),
        Choice(
            "model.inputs.word_dropout",
            0.2 if seen.number < 10_000 else 0.1,
            "letters and neighbours must do without it",
        ),
        Choice("model.inputs.embedding_dropout", dropout, _AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", dropout, _AGAINST_OVERFITTING),
        *_training(seen, batch=batch, epochs=epochs, optimizer="adam"),
    ]


def _translation(options: Options, seen: Seen) -> list[Choice]:
    dropout = 0.3 if seen.number < 20_000 else 0.1
    reads = _name(options.get("source_tokenizer")) == "characters"
    if _repeats(seen.rows, options["source"], reads) > MANY_REPEATS:
        dropout = 0.1
    batch = max(_batch(seen.number), 16)
    length = _mean_length(seen.rows, options["target"], _name(options.get("target_tokenizer")) == "characters")
    return [
        Choice("model.inputs.embedding_dropout", dropout, _AGAINST_OVERFITTING),
        Choice("model.decoder.embedding_dropout", dropout, _AGAINST_OVERFITTING),
        Choice("model.decoder.output_dropout", dropout, _AGAINST_OVERFITTING),
        *_training(
            seen,
            batch=batch,
            epochs=_epochs(seen.number, batch, at_1000=40, power=0.4, tokens=seen.number * length),
            optimizer="adam",
        ),
    ]


def _language_model(options: Options, seen: Seen) -> list[Choice]:
    reads_characters = _name(options.get("tokenizer")) == "characters"
    tokens = seen.number * max(_mean_length(seen.rows, options["text"], reads_characters), 1)
    batch = 8 if tokens < 100_000 else 20 if tokens < 500_000 else 40
    # As many steps as a small language model takes to come near its end: benchmarks of tinyshakespeare have 3,400.
    steps_an_epoch = max(tokens / (batch * options.get("bptt", 35)), 1)
    epochs = round(min(max(3000 / steps_an_epoch, 3), 60))
    dropout = 0.4 if tokens < 500_000 else 0.25
    return [
        Choice("model.encoder.dropout", dropout, _AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", dropout, _AGAINST_OVERFITTING),
        *_training(seen, batch=batch, epochs=epochs, optimizer="adam", steps=round(epochs * steps_an_epoch)),
    ]


def _music(options: Options, seen: Seen) -> list[Choice]:
    return [
        Choice("model.inputs.input_dropout", 0.3, _AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.3, _AGAINST_OVERFITTING),
        *_training(
            seen, batch=8, epochs=_epochs(seen.number, 8, at_1000=30, power=0.5, tokens=0.0, most=80), optimizer="adam"
        ),
    ]


_AGAINST_OVERFITTING = "against overfitting: learning rows by heart"
_SIZED: Mapping[str, Callable[[Options, Seen], list[Choice]]] = {
    "classification": _classification,
    "tagging": _tagging,
    "translation": _translation,
    "language_model": _language_model,
    "music": _music,
}


def _training(
    seen: Seen, *, batch: int, epochs: int, optimizer: str = "adam", steps: int | None = None
) -> list[Choice]:
    total = steps or -(-seen.number // batch) * epochs
    return [
        Choice("training.epochs", epochs, f"about {float(f'{total:.2g}'):,.0f} steps in all"),
        Choice("training.batch_rows", batch, f"{seen.words}: small batches make enough steps"),
        Choice("training.optimizer", {"name": optimizer, "lr": 0.003}),
        Choice("training.schedule", {"name": "cosine", "warmup": 0.05}, "the last steps are small ones"),
        Choice("training.patience", None, "a share of the steps counts instead"),
        Choice("training.patience_share", 0.5, "the score may stand still until the rate falls"),
    ]


def _batch(number: int) -> int:
    """8 to 64 rows: a few hundred rows in batches of 64 are a handful of steps an epoch, too few to learn anything."""
    return 8 if number < 400 else 16 if number < 6000 else 32 if number < 15_000 else 64


# Texts from which on a classifier takes the maximum over steps. Measured: 1,000 texts are classified better by the mean
# (docs/results.md); with 5,000 and more the maximum was chosen, and the mean was not tried.
MANY_TEXTS = 2000


# Tokens that training reads at most, in all its epochs: about ten minutes of one core.
MOST_TOKENS = 15_000_000


# Steps that a training has at least, however few rows there are.
LEAST_STEPS = 400


def _epochs(number: int, batch: int, *, at_1000: int, power: float, tokens: float, most: int = 50) -> int:
    """Passes: so many of 1,000 rows, fewer of more rows by a power of their number, and of long texts, two at least."""
    wanted = max(at_1000 * math.pow(1000 / max(number, 1), power), LEAST_STEPS * batch / max(number, 1))
    if tokens:
        wanted = min(wanted, max(MOST_TOKENS / tokens, 3))
    return round(min(max(wanted, 2), most))


# Tokens for each different one, from where on a text has few different ones: words have 4 to 20, characters hundreds.
MANY_REPEATS = 40


def _repeats(rows: Sequence[Record], column: str, characters: bool) -> float:
    tokens = [token for text in values(rows, column) for token in (text if characters else text.lower().split())]
    return len(tokens) / max(len(set(tokens)), 1)


def _mean_length(rows: Sequence[Record], column: str, characters: bool) -> float:
    return mean(len(text) if characters else len(text.split()) for text in values(rows, column))


def _has_spans(options: Options, rows: Sequence[Record]) -> bool:
    """Do the tags write spans? Rows that cannot be read are for `check` to name."""
    columns = TaggingConfig(**{key: value for key, value in options.items() if key != "name"}).columns
    found = set()
    for row in rows:
        try:
            found.add(columns.read(row).tags)
        except DataError:
            continue
    return bool(found) and detected(list(found)).scheme != PLAIN


def _name(tokenizer: Any) -> str:
    return str(tokenizer.get("name") if isinstance(tokenizer, Mapping) else tokenizer)
