"""What `init` chooses for retrieval by the number of pictures."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, training


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the task, the model and the training, each with its reason."""
    few = seen.number < 1000
    moves = [] if options.get("features") else [Choice("task.shift", 4, "a picture that is moved is the same picture")]
    sizes = [] if options.get("features") else [Choice("model.encoder.dropout", 0.1, AGAINST_OVERFITTING)]
    return [
        *moves,
        *sizes,
        Choice("model.text_inputs.embedding_dropout", 0.2, AGAINST_OVERFITTING),
        *training(seen, batch=32 if few else 64, epochs=30 if few else 20),
    ]
