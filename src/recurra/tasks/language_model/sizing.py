"""What `init` chooses for a language model by the size of its text."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, mean_length, reads_characters, training

# As many steps as a small language model takes to come near its end: benchmarks of tinyshakespeare have 3,400.
STEPS = 3000


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    characters = reads_characters(options.get("tokenizer"))
    tokens = seen.number * max(mean_length(seen.rows, options["text"], characters=characters), 1)
    batch = 8 if tokens < 100_000 else 20 if tokens < 500_000 else 40
    steps_an_epoch = max(tokens / (batch * options.get("bptt", 35)), 1)
    passes = round(min(max(STEPS / steps_an_epoch, 3), 60))
    dropout = 0.4 if tokens < 500_000 else 0.25
    return [
        Choice("model.encoder.dropout", dropout, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", dropout, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=passes, optimizer="adam", steps=round(passes * steps_an_epoch)),
    ]
