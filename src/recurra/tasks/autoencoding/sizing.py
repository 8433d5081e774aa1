"""What `init` chooses for an autoencoder by the size of its data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.data.fields import numbers_of
from recurra.tasks.autoencoding.columns import are_pixels
from recurra.tasks.autoencoding.fitting_likelihood import likelihood_choices
from recurra.tasks.autoencoding.notes import roll_of
from recurra.tasks.pictures import LEAST, channels_for, picture_shape
from recurra.tasks.series_columns import number_of_series
from recurra.tasks.sizing import Choice, Options, Seen, batch_rows, epochs, training

Floats = NDArray[np.float64]
# Units of the first layer, at most, and numbers of a code, at least and at most.
WIDEST, CODES = 512, (2, 32)


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the training and of the model, each with its reason."""
    number = number_of_series(seen.rows, seen.number)
    batch = batch_rows(number)
    passes = epochs(number, batch, at_1000=60, power=0.5, tokens=0, most=60)
    rows = Seen(seen.rows, number) if number < seen.number else seen
    model = _model(options, seen, seen.number / number)
    choices = [
        *training(rows, batch=batch, epochs=passes),
        *model,
        *likelihood_choices(options, _arrays(options, seen)),
    ]
    return [*choices, *_clipping(options, model)]


def _clipping(options: Options, model: Sequence[Choice]) -> list[Choice]:
    """None where nothing is recurrent and the loss is of whole rows: all gradients are beyond the usual bound.

    On the digits of scikit-learn the ELBO was 168 to 172 nats with that, and 193 to 196 without (two seeds).
    """
    if not options.get("variational") or any(one.value in ("recurrent", "transformer") for one in model):
        return []
    return [Choice("training.clipping", "none", "the nats of a whole row have gradients of any size")]


def _arrays(options: Options, seen: Seen) -> list[NDArray[np.float64]]:
    """(T, F) of some rows."""
    values = options["values"]
    names = [values] if isinstance(values, str) else list(values)
    if (notes := options.get("notes")) is not None:
        return [roll_of(row, names[0], notes).astype(np.float64) for row in seen.rows[:50]]
    return [np.concatenate([numbers_of(row.fields[n], row.origin, n) for n in names], 1) for row in seen.rows[:50]]


def _model(options: Options, seen: Seen, together: float) -> list[Choice]:
    """together: rows of a file that make one, about"""
    arrays = _arrays(options, seen)
    several = together > 1 or max(map(len, arrays)) > 1
    if several and options.get("flatten") is not True:
        return _of_series(round(float(np.mean([one.size for one in arrays])) * together))
    if shape := _picture(seen.rows[0], arrays):
        return _of_pictures(shape)
    width = arrays[0].size
    code = min(max(width // 8, CODES[0]), CODES[1])
    first = min(max(2 * width, 16), WIDEST)
    return [
        Choice(
            "task.code_size", code if code < width else 1, f"a row has {width} numbers: an eighth, {CODES[1]} at most"
        ),
        Choice("model.encoder.name", "dense", "a row is one vector"),
        Choice("model.encoder.sizes", [first, max(first // 2, 8)], "the decoder has them in the opposite order"),
    ]


def _picture(record: Record, arrays: Sequence[Floats]) -> tuple[int, ...]:
    """The shape of the pictures that rows are; () where they are none, or so small that dense layers do."""
    (steps, numbers), together = arrays[0].shape, np.concatenate([one.ravel() for one in arrays])
    if not are_pixels(together[~np.isnan(together)]):
        return ()
    shape = picture_shape(record, steps, numbers)
    return shape if min(shape[:2]) >= LEAST else ()


def _of_pictures(shape: Sequence[int]) -> list[Choice]:
    width, channels = math.prod(shape), channels_for(shape)
    code = min(max(width // 8, CODES[0]), CODES[1])
    return [
        Choice("task.code_size", code, f"a picture has {width} numbers: an eighth, {CODES[1]} at most"),
        Choice("model.encoder.name", "pictures", "rows are pictures"),
        Choice("model.encoder.shape", list(shape)),
        Choice("model.encoder.channels", channels, "each layer has half the height and the width of the one below"),
        Choice("model.decoder.name", "pictures", "the same layers, back"),
    ]


def _of_series(width: int) -> list[Choice]:
    """width: numbers of a row, about"""
    code = min(max(width // 8, CODES[0]), CODES[1])
    return [
        Choice("task.code_size", code, f"a row has about {width} numbers: an eighth, {CODES[1]} at most"),
        Choice("model.encoder.name", "recurrent", "a row is read step by step"),
        Choice("model.encoder.cell", "gru"),
        Choice("model.decoder.name", "recurrent", "and written step by step"),
    ]
