"""What `init` chooses for a dialogue by the number of its replies: the network, its pieces, and how long it learns."""

from __future__ import annotations

from statistics import mean
from typing import Any

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, training

# Replies from which on words are cut into pieces; and how many pieces from how many replies on.
FOR_PIECES = 5_000
PIECES = ((500_000, 16_000), (50_000, 8_000), (0, 4_000))
# Turns that training reads in all its epochs, about twenty minutes of one core.
MOST_TURNS = 1_500_000


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    replies = round(seen.number * _replies(options, seen))
    told = Seen(seen.rows, replies)
    units = 128 if replies < 20_000 else 256
    batch = 16 if replies < 2_000 else 64
    dropout = 0.3 if replies < 50_000 else 0.2
    epochs = round(min(max(MOST_TURNS / max(replies, 1), 3), 30))
    writer: tuple[str, ...] = ("decoder.embedding_dropout", "decoder.output_dropout")
    if options.get("model") == "decoder_only":
        writer = ("head.output_dropout",)
    return [
        *(_pieces(replies) if replies >= FOR_PIECES else []),
        Choice("model.inputs.embedding_size", units),
        Choice("model.encoder.hidden_size", units, f"about {replies:,} replies"),
        Choice("model.encoder.num_layers", 1),
        *(Choice(f"model.{path}", dropout, AGAINST_OVERFITTING) for path in ("inputs.embedding_dropout", *writer)),
        *training(told, batch=batch, epochs=epochs),
    ]


def sized_to_choose(options: Options, seen: Seen) -> list[Choice]:
    """The choices where replies are chosen: nothing is written token by token, so epochs are short."""
    replies = round(seen.number * _replies(options, seen))
    batch, epochs = 32 if replies < 2_000 else 128, round(min(max(2 * MOST_TURNS / max(replies, 1), 3), 20))
    return [
        *(_pieces(replies) if replies >= FOR_PIECES else []),
        Choice("model.inputs.embedding_size", 128),
        Choice("model.inputs.embedding_dropout", 0.2, AGAINST_OVERFITTING),
        Choice("model.encoder.hidden_size", 128, f"about {replies:,} replies"),
        Choice("model.encoder.num_layers", 1),
        *training(Seen(seen.rows, replies), batch=batch, epochs=epochs),
    ]


def _pieces(replies: int) -> list[Choice]:
    number = next(size for least, size in PIECES if replies >= least)
    why = "rare words are read and written in pieces, each of which is seen often"
    return [Choice("task.tokenizer", {"name": "subwords", "vocab_size": number, "lowercase": True}, why)]


def _replies(options: Options, seen: Seen) -> float:
    """Replies of a row, about: of a row that is a turn nearly one."""
    turns = options.get("turns")
    if not isinstance(turns, str):
        return max(len(turns or ()) - 1, 1)
    separator = options.get("separator")
    numbers = [_turns(row.fields.get(turns), separator) for row in seen.rows]
    return max(mean(numbers) - 1, 0.9) if numbers else 1.0


def _turns(value: Any, separator: Any) -> int:
    if isinstance(value, list):
        return len(value)
    return value.count(separator) + 1 if isinstance(value, str) and isinstance(separator, str) else 1
