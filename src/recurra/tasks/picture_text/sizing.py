"""What `init` chooses for pictures with texts by the number of rows."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, training


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the model and the training, each with its reason."""
    few = seen.number < 5000
    pixels = [] if options.get("features") else [Choice("model.encoder.dropout", 0.1, AGAINST_OVERFITTING)]
    return [
        *pixels,
        Choice("model.text_inputs.embedding_dropout", 0.2, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.2, AGAINST_OVERFITTING),
        *training(seen, batch=32 if few else 64, epochs=40 if few else 20),
    ]
