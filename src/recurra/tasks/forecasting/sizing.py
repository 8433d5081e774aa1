"""What `init` chooses for forecasts by the size of the data."""

from __future__ import annotations

from recurra.tasks.sizing import Choice, Options, Seen

# Windows that training reads in all: about a minute of one core at the usual size of a model.
WINDOWS = 40_000
BATCH = 64


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the training and of the model, each with its reason."""
    epochs = 20
    windows = max(BATCH * 4, WINDOWS // epochs // BATCH * BATCH)
    return [
        Choice("task.windows", windows, f"{epochs} looks at dev on the way"),
        Choice("training.epochs", epochs, f"{epochs * windows:,} windows in all"),
        Choice("training.batch_rows", BATCH),
        Choice("training.batch_tokens", 65_536, "a batch is bounded by its windows"),
        Choice("training.optimizer", {"name": "adam", "lr": 0.003}),
        Choice("training.schedule", {"name": "cosine", "warmup": 0.05}, "the last steps are small ones"),
        Choice("training.patience", None, "a share of the steps counts instead"),
        Choice("training.patience_share", 0.5, "the score may stand still until the rate falls"),
        Choice("model.encoder.hidden_size", 64, "small enough to learn from one series"),
        Choice("model.head.output_dropout", 0.1, "against overfitting: learning windows by heart"),
    ]
