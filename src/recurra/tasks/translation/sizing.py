"""What `init` chooses for a translation by the number of its pairs: the network, its pieces, and how long it learns.

Fewer pieces and a smaller network are worth up to 5 and 7 BLEU where there are few pairs: Sennrich & Zhang 2019
(arXiv:1905.11901) of recurrent networks with 5,000 pairs on, Araabi & Monz 2020 (arXiv:2011.02266) of Transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Record
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
)

# Different words of the rows that `init` looks at from which on there are names and rare words: numbers as people say
# them have a few dozen.
MANY_WORDS = 500
# Pairs of sentences from which on words are cut into pieces, and from which on there is a Transformer.
FOR_PIECES, FOR_TRANSFORMER = 2_000, 20_000


@dataclass(frozen=True, slots=True)
class _Size:
    """A Transformer for so many pairs on.

    read: target words that training reads in all epochs, of the smallest about an hour of one core
    """

    pairs: int
    width: int
    heads: int
    layers: tuple[int, int]
    feed_forward: int
    dropout: float
    rate: float
    read: int


# From below: as fairseq has it for the 29,000 pairs of Multi30k (transformer_tiny: 128, 256, dropout 0.3), as Joey NMT
# for the 160,000 of IWSLT 2014 (256, 1024), and the base of Vaswani et al. 2017 (512, 2048). Decoders are half as deep:
# that costs next to nothing, and answers come sooner (Kasai et al. 2021, arXiv:2006.10369).
SIZES = (
    _Size(1_000_000, 512, 8, (6, 3), 2048, 0.1, 0.0007, 60_000_000),
    _Size(100_000, 256, 4, (6, 3), 1024, 0.2, 0.001, 15_000_000),
    _Size(0, 128, 4, (4, 2), 256, 0.3, 0.002, 6_000_000),
)
# Epochs from which on the last ones are alike enough for a mean of their weights.
FOR_AVERAGE = 8
# Pieces of both sides together: from how many pairs on.
PIECES = ((1_000_000, 32_000), (100_000, 16_000), (20_000, 5_000), (5_000, 4_000), (0, 2_000))


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    if not _sentences(options, seen) or seen.number < FOR_PIECES:
        return _recurrent(options, seen)
    if seen.number < FOR_TRANSFORMER:
        return [*_pieces(seen), *_recurrent(options, seen)]
    return [*_pieces(seen), *_transformer(options, seen)]


def _sentences(options: Options, seen: Seen) -> bool:
    """Whether both sides are read as words, and have many different ones."""
    sides = [("source", options.get("source_tokenizer")), ("target", options.get("target_tokenizer"))]
    words = all(_word(tokenizer) == "words" for _, tokenizer in sides)
    return words and all(_different(seen.rows, options[side]) >= MANY_WORDS for side, _ in sides)


def _word(tokenizer: Any) -> Any:
    return tokenizer.get("name") if isinstance(tokenizer, Mapping) else tokenizer


def _different(rows: Sequence[Record], column: str) -> int:
    return len({word for text in values(rows, column) for word in text.lower().split()})


def _pieces(seen: Seen) -> list[Choice]:
    """One vocabulary of pieces for both sides."""
    number = next(size for least, size in PIECES if seen.number >= least)
    why = f"{seen.words}: rare words are read and written in pieces, each of which is seen often"
    return [
        Choice("task.source_tokenizer", {"name": "subwords", "vocab_size": number}, why),
        Choice("task.target_tokenizer", None, "as of the source"),
        Choice("task.vocabulary", "shared", "names stand in both sides"),
    ]


def _recurrent(options: Options, seen: Seen) -> list[Choice]:
    """Attention between recurrent layers: the smallest network, for the fewest pairs."""
    dropout = 0.3 if seen.number < 20_000 else 0.1
    characters = reads_characters(options.get("source_tokenizer"))
    if repeats(seen.rows, options["source"], characters=characters) > MANY_REPEATS:
        dropout = 0.1
    batch = max(batch_rows(seen.number), 16)
    writes_characters = reads_characters(options.get("target_tokenizer"))
    length = mean_length(seen.rows, options["target"], characters=writes_characters)
    passes = epochs(seen.number, batch, at_1000=40, power=0.4, tokens=seen.number * length)
    return [
        Choice("model.inputs.embedding_dropout", dropout, AGAINST_OVERFITTING),
        Choice("model.decoder.embedding_dropout", dropout, AGAINST_OVERFITTING),
        Choice("model.decoder.output_dropout", dropout, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=passes, optimizer="adam"),
    ]


def _transformer(options: Options, seen: Seen) -> list[Choice]:
    size = next(one for one in SIZES if seen.number >= one.pairs)
    words = seen.number * max(mean_length(seen.rows, options["target"], characters=False), 1)
    passes = round(min(max(size.read / words, 3), 40))
    enough = f"{seen.words}: enough for a Transformer of this size"
    average = [Choice("training.average", 3, "the mean of three epochs' weights is better than each")]
    made = [choice for choice in training(seen, batch=64, epochs=passes) if choice.path != "training.optimizer"]
    return [
        Choice("task.label_smoothing", 0.1, "no answer is the only right one"),
        Choice("model.inputs.embedding_size", size.width, "as model.encoder.hidden_size"),
        *_layers("model.encoder", size, size.layers[0], enough, {}),
        *_layers("model.decoder", size, size.layers[1], "half as deep: answers come sooner", {"tie": "all"}),
        *made,
        Choice("training.optimizer", {"name": "adam", "lr": size.rate, "beta2": 0.98}),
        *(average if passes > FOR_AVERAGE else []),
    ]


def _layers(section: str, size: _Size, layers: int, why: str, more: Mapping[str, Any]) -> list[Choice]:
    """The options of an encoder or decoder."""
    options = {
        "name": "transformer",
        "hidden_size": size.width,
        "num_layers": layers,
        "num_heads": size.heads,
        "feed_forward_size": size.feed_forward,
        "dropout": size.dropout,
        **more,
    }
    reasons = {"num_layers": why, "dropout": AGAINST_OVERFITTING}
    return [Choice(f"{section}.{name}", value, reasons.get(name, "")) for name, value in options.items()]
