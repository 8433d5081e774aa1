"""What `init` chooses for word vectors by the size of the text."""

from __future__ import annotations

from recurra.tasks.sizing import Choice, Options, Seen, mean_length

# Words that a training reads in all its epochs, so that a small text is read often enough to say anything.
ENOUGH = 20_000_000
# Under this many words, those that are seen twice are all there is.
SMALL = 200_000
# Epochs of GloVe for vectors of fewer than 300 numbers (Pennington, Socher and Manning 2014, section 4.2).
GLOVE_EPOCHS = 50


def sized(options: Options, seen: Seen) -> list[Choice]:
    """The choices, as `ChoosesBySize` has them."""
    words = max(seen.number * mean_length(seen.rows, options["text"], characters=False), 1)
    passes = round(min(max(ENOUGH / words, 5), 50))
    about = f"about {float(f'{words:.2g}'):,.0f} words"
    rare = Choice("task.min_count", 2 if words < SMALL else 5, f"{about}: rarer words say too little")
    if options.get("method") == "glove":
        return [
            rare,
            Choice("task.window", options.get("window", 10), "words far away count little (distance_weighting)"),
            Choice("training.epochs", GLOVE_EPOCHS, "an epoch goes once over all counts, however long the text is"),
            Choice("training.optimizer", {"name": "sgd", "lr": 0.05}, "which AdaGrad divides (the paper, section 4.2)"),
            Choice("training.schedule", "constant", "AdaGrad's steps become smaller by themselves"),
            Choice("training.batch_rows", 10_000, "batches have as many pairs as training.batch_tokens words have"),
        ]
    return [
        rare,
        Choice("training.epochs", passes, f"{about}: a small text is read more often"),
        Choice("training.batch_rows", 10_000, "batches have training.batch_tokens words, in the order of the file"),
    ]
