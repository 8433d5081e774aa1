"""What `init` chooses for a classification by the size of its data."""

from __future__ import annotations

from collections.abc import Mapping

from recurra.tasks.columns import values
from recurra.tasks.sizing import (
    AGAINST_OVERFITTING,
    MANY_REPEATS,
    Choice,
    Options,
    Seen,
    batch_rows,
    epochs,
    mean_length,
    reads_characters,
    repeats,
    training,
    units,
)

# Texts from which on a classifier takes the maximum over steps. Measured: 1,000 texts are classified better by the mean
# (docs/results.md); with 5,000 and more the maximum was chosen, and the mean was not tried.
MANY_TEXTS = 2000
# From MANY_TEXTS to here the dev rows are a few hundred: their accuracy moves in steps and stands still early, while
# the log loss still falls. Measured on trec_qc: chosen by log loss, and with 12 epochs for 7, five seeds are 2 points
# better in the mean (docs/results.md).
FEW_DEV_ROWS = 10_000
# Words of a text from which on its runs of characters are not counted: they would be four fifths of all n-grams, and
# tell little beside hundreds of words.
LONG_TEXT = 100
CHARACTERS_OF_A_WORD = 6
# Rows that are looked at before it is believed that all have one length.
ENOUGH = 20


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    characters = reads_characters(options.get("tokenizer"))
    length = mean_length(seen.rows, options["text"], characters=characters)
    batch = batch_rows(seen.number)
    few = seen.number < FEW_DEV_ROWS
    few_dev = MANY_TEXTS <= seen.number < FEW_DEV_ROWS
    passes = epochs(seen.number, batch, at_1000=18 if few_dev else 10, power=0.25, tokens=seen.number * length)
    wide = _wide(options, length, characters=characters)
    if characters and _of_one_length(seen, options["text"]):
        wide = _by_place(seen)
    if repeats(seen.rows, options["text"], characters=characters) > MANY_REPEATS:
        return [*wide, *_of_few_tokens(seen, batch, passes)]
    small = seen.number < 50_000
    rare = [Choice("task.min_count", 2, "what occurs once teaches what an unknown word means")]
    return [
        *wide,
        *(rare if seen.number >= 500 else []),
        units(seen, 64 if small else 128, few=small),
        _pooling(seen.number),
        Choice("model.inputs.word_dropout", 0.3 if small else 0.1, "no word alone may decide"),
        Choice("model.inputs.embedding_dropout", 0.5, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.5 if small else 0.3, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=passes, optimizer="adamw"),
        *([Choice("training.select", "log_loss", "few dev rows: accuracy stands still early")] if few else []),
    ]


def _wide(options: Options, length: float, *, characters: bool) -> list[Choice]:
    """n-grams beside the network, which are as good as it where there are few rows; of long texts, of words alone."""
    words = length / CHARACTERS_OF_A_WORD if characters else length
    counted: dict[str, object] = {"name": "hashed"}
    if words > LONG_TEXT:
        counted |= {"characters": None, "buckets": 2**20}
    if characters or not _lowercase(options.get("tokenizer")):
        counted["lowercase"] = False
    return [
        Choice("task.ngrams", counted, "counted for model.wide"),
        Choice("model.wide", "bag", "what counting n-grams can tell need not be learned by the network"),
    ]


def _of_one_length(seen: Seen, text: str) -> bool:
    """Whether texts are like genes: as long as one another, without spaces."""
    found = values(seen.rows, text)
    return (
        len({len(one) for one in found}) == 1 and len(found) >= ENOUGH and not any(set(one) & set(" ") for one in found)
    )


def _by_place(seen: Seen) -> list[Choice]:
    """Which letters stand at which place, beside the network."""
    counted = {"name": "hashed", "words": 0, "characters": [1, 4], "places": True, "lowercase": False}
    return [
        Choice("task.ngrams", counted, f"{seen.words} of one length: which letter stands where may tell the label"),
        Choice("model.wide", "bag", "what counting n-grams can tell need not be learned by the network"),
    ]


def _lowercase(tokenizer: object) -> bool:
    return isinstance(tokenizer, Mapping) and bool(tokenizer.get("lowercase"))


def _of_few_tokens(seen: Seen, batch: int, passes: int) -> list[Choice]:
    """Few different tokens: nothing to learn by heart, and their order may be what counts."""
    return [
        Choice("model.head.pooling", "concat", "few different tokens: where they stand may count"),
        Choice("model.inputs.embedding_dropout", 0.1, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.1, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=2 * passes, optimizer="adamw"),
    ]


def _pooling(number: int) -> Choice:
    """Mean or max: the gradient of a maximum reaches only the steps that win, and few rows have few of those."""
    if number < MANY_TEXTS:
        return Choice("model.head.pooling", "mean", "every word of a text teaches, where there are few texts")
    return Choice("model.head.pooling", "max", "one word is often enough to tell the label")
