"""What `init` chooses for a text autoencoder by the size of its data."""

from __future__ import annotations

from recurra.tasks.sizing import (
    Choice,
    Options,
    Seen,
    batch_rows,
    epochs,
    mean_length,
    reads_characters,
    training,
    units,
)

# Tokens of a text that are read, where texts are long: a code of some numbers holds no more.
LONGEST = 60


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the model and of the training, each with its reason."""
    batch = batch_rows(seen.number)
    few = seen.number < 5_000
    length = mean_length(seen.rows, options["text"], characters=reads_characters(options["tokenizer"]))
    cut = Choice("task.max_length", LONGEST, f"texts have about {length:.0f} tokens, more than a code can hold")
    passes = epochs(seen.number, batch, at_1000=30, power=0.5, tokens=seen.number * min(length, LONGEST))
    return [
        *([cut] if length > LONGEST else []),
        units(seen, 128 if few else 256, few=few),
        Choice("task.code_size", 32),
        *training(seen, batch=batch, epochs=passes),
    ]
