"""What `init` chooses for captions by the number of pictures."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, training


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the task, the model and the training, each with its reason."""
    few = seen.number < 2000
    batch = 8 if seen.number < 400 else 16 if few else 32
    moves = [] if options.get("features") else [Choice("task.shift", 4, "a picture that is moved is the same picture")]
    sizes = [] if options.get("features") else [Choice("model.encoder.dropout", 0.1, AGAINST_OVERFITTING)]
    return [
        *moves,
        *sizes,
        Choice("model.decoder.embedding_dropout", 0.2, AGAINST_OVERFITTING),
        Choice("model.decoder.output_dropout", 0.3, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=30 if few else 20),
    ]
