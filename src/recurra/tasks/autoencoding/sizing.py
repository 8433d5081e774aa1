"""What `init` chooses for an autoencoder by the size of its data."""

from __future__ import annotations

from recurra.data.fields import numbers_of
from recurra.tasks.sizing import Choice, Options, Seen, batch_rows, epochs, training

# Units of the first layer, at most, and numbers of a code, at least and at most.
WIDEST, CODES = 512, (2, 32)


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the training and of the model, each with its reason."""
    batch = batch_rows(seen.number)
    passes = epochs(seen.number, batch, at_1000=60, power=0.5, tokens=0, most=60)
    return [*training(seen, batch=batch, epochs=passes), *_model(options, seen)]


def _model(options: Options, seen: Seen) -> list[Choice]:
    values, row = options["values"], seen.rows[0]
    names = [values] if isinstance(values, str) else list(values)
    width = sum(numbers_of(row.fields[name], row.origin, name).size for name in names)
    code = min(max(width // 8, CODES[0]), CODES[1])
    first = min(max(2 * width, 16), WIDEST)
    return [
        Choice(
            "task.code_size", code if code < width else 1, f"a row has {width} numbers: an eighth, {CODES[1]} at most"
        ),
        Choice("model.encoder.name", "dense", "a row is one vector"),
        Choice("model.encoder.sizes", [first, max(first // 2, 8)], "the decoder has them in the opposite order"),
    ]
