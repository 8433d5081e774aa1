"""What `init` chooses for question answering by the size of its data."""

from __future__ import annotations

from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, batch_rows, training, units


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the model and of the training, each with its reason."""
    batch = min(batch_rows(seen.number), 32)
    few = seen.number < 20_000
    passes = max(4, min(12, round(80_000 / max(seen.number, 1)))) if seen.number > 2000 else 20
    return [
        Choice("task.min_count", 2, "what occurs once teaches what an unknown word means") if seen.number >= 500
        else Choice("task.min_count", 1),
        Choice("model.inputs.characters", "cnn", "names that training never saw are told by their letters"),
        Choice("model.inputs.pattern_size", 16, "capitals and digits tell who, when and how many"),
        units(seen, 64 if few else 128, few=few),
        Choice("model.encoder.num_layers", 2, "the question is read first, then looked for"),
        Choice("model.inputs.embedding_dropout", 0.3, AGAINST_OVERFITTING),
        Choice("model.head.output_dropout", 0.3, AGAINST_OVERFITTING),
        *training(seen, batch=batch, epochs=passes, optimizer="adamw"),
    ]  # fmt: skip
