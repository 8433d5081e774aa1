"""What `init` chooses for a translation by the size of its data."""

from __future__ import annotations

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


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
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
