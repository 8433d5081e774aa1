"""What `init` chooses for a regression of series by the size of its data."""

from __future__ import annotations

from recurra.tasks.series_columns import num_steps, number_of_series
from recurra.tasks.sizing import Choice, Options, Seen, batch_rows, epochs, training, units

# Series under which there are fewer units, as for a classification of series.
FEW = 600


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the training and of the model, each with its reason."""
    number = number_of_series(seen.rows, seen.number)
    series = Seen(seen.rows[:number] if number < len(seen.rows) else seen.rows, number)
    batch = batch_rows(number)
    passes = epochs(number, batch, at_1000=30, power=0.5, tokens=0, most=60)
    return [*training(series, batch=batch, epochs=passes), *_model(options, series, number == seen.number)]


def _model(options: Options, series: Seen, row_is_series: bool) -> list[Choice]:
    width = 64 if series.number < FEW else 128
    values = options["values"]
    first = values if isinstance(values, str) else values[0]
    one_step = "sound" not in options and row_is_series and num_steps(series.rows[0], first) == 1
    if options.get("flatten") or one_step:
        return [
            Choice("model.encoder.name", "dense", "a row is one vector"),
            Choice("model.encoder.sizes", [width, width], f"{series.words}: more units need more rows"),
        ]
    return [
        Choice("model.encoder.name", "convolutional", "better on public sets of series than recurrent layers"),
        units(series, width, few=series.number < FEW),
        Choice("model.head.pooling", "mean", "every step teaches"),
    ]
