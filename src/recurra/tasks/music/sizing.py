"""What `init` chooses for music by the number of its pieces."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Seen, epochs, training

BATCH = 8


def sized(seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    passes = epochs(seen.number, BATCH, at_1000=30, power=0.5, tokens=0.0, most=80)
    return [
        Choice("model.inputs.input_dropout", 0.3, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.3, AGAINST_OVERFITTING),
        *training(seen, batch=BATCH, epochs=passes, optimizer="adam"),
    ]
