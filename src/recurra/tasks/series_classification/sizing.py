"""What `init` chooses for a classification of series by the size of its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.tasks.series_classification.kernels import MOST_SOLVED
from recurra.tasks.series_columns import FRAME_SIDE, number_of_series, number_of_steps
from recurra.tasks.sizing import AGAINST_OVERFITTING, Choice, Options, Seen, batch_rows, epochs, training, units

# Films of a batch at most: the numbers of all their frames are in memory at once.
MOST_FILMS = 16
# Series under which fewer units, and more passes, were better on dev (docs/results.md, "Series").
FEW = 600
# Steps of all series up to which the shares of all kernels take about a minute of one core.
MOST_STEPS = 1_000_000
# Passes that many series have at least, while all passes read no more than so many steps: ten minutes of one core.
LEAST_PASSES, MOST_READ = 12, 25_000_000


def sized(options: Options, seen: Seen) -> list[Choice]:
    """Options of the training and of the model, each with its reason."""
    if (frames := options.get("frames")) is not None:
        return _sized_films(frames, seen)
    number = number_of_series(seen.rows, seen.number)
    series = Seen(seen.rows[:number] if number < len(seen.rows) else seen.rows, number)
    batch = batch_rows(number)
    wide = Choice("model.wide", "forest", "what statistics can tell need not be learned by the network")
    steps = number_of_steps(seen.rows, seen.number)
    if number <= MOST_SOLVED and steps <= MOST_STEPS and options.get("flatten") is not True:
        wide = Choice("model.wide", "kernels", "better than networks on small public sets of series")
    passes = _passes(number, batch, steps)
    return [
        Choice(
            "model.encoder.name",
            "convolutional",
            "better on public sets than recurrent layers",
        ),
        *training(series, batch=batch, epochs=passes),
        units(series, 64 if number < FEW else 128, few=number < FEW),
        *([wide] if options.get("labels", "one") == "one" else []),
        Choice("training.select", "log_loss", "the accuracy of few dev rows moves in steps"),
        Choice("model.head.pooling", "mean", "every step teaches"),
        Choice("model.head.output_dropout", 0.3, AGAINST_OVERFITTING),
    ]


def _passes(number: int, batch: int, steps: int) -> int:
    """Fewer of more series by the square root of their number; not too few where ten minutes allow more."""
    usual = epochs(number, batch, at_1000=30, power=0.5, tokens=0, most=60)
    return max(usual, min(LEAST_PASSES, MOST_READ // steps)) if steps else usual


def _sized_films(frames: Mapping[str, Any], seen: Seen) -> list[Choice]:
    """A network over each frame, and recurrent layers over the frames."""
    batch = min(batch_rows(seen.number), MOST_FILMS)
    colours = 1 if frames.get("colours") == "grey" else 3
    shape = [frames.get("height", FRAME_SIDE), frames.get("width", FRAME_SIDE), colours]
    passes = epochs(seen.number, batch, at_1000=30, power=0.5, tokens=0, most=60)
    return [
        Choice("model.encoder.name", "lrcn", "a network over each frame, and recurrent layers over the frames"),
        Choice("model.encoder.shape", shape, "the frames of task.frames"),
        *training(seen, batch=batch, epochs=passes),
        Choice("training.select", "log_loss", "the accuracy of few dev rows moves in steps"),
        Choice("model.head.pooling", "mean", "every frame teaches"),
        Choice("model.head.output_dropout", 0.3, AGAINST_OVERFITTING),
    ]
