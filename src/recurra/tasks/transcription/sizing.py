"""What `init` chooses for a transcription by the size of its data."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, training, units


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the task, the model and the training, each with its reason."""
    few = seen.number < 200
    batch = 4 if few else 8 if seen.number < 2000 else 16
    return [
        Choice("task.time_masks", 2, AGAINST_OVERFITTING),
        Choice("task.band_masks", 2, AGAINST_OVERFITTING),
        Choice("model.encoder.num_layers", 2 if few else 3),
        units(seen, 64 if few else 256, few=few),
        Choice("model.encoder.dropout", 0.2, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=40),
    ]
