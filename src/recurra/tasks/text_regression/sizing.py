"""What `init` chooses for a regression of texts by the size of its data."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, batch_rows, epochs, training, units


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the model and of the training, each with its reason."""
    batch = batch_rows(seen.number)
    few = seen.number < 50_000
    return [
        units(seen, 64 if few else 128, few=few),
        Choice("model.head.pooling", "mean", "every word teaches"),
        Choice("model.inputs.embedding_dropout", 0.3, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.3, AGAINST_OVERFITTING),
        *training(
            seen, batch=batch, epochs=epochs(seen.number, batch, at_1000=20, power=0.4, tokens=0), optimizer="adamw"
        ),
    ]
