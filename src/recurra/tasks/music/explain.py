"""What can be looked into while a piece is judged: which notes came and which were expected, and nats of each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.doctor.maps import in_pieces
from recurra.report import HeatMap
from recurra.tasks.explanation import ExplanationTarget, answer_of, beside_largest, copies_of, entry_of
from recurra.tasks.music.chords import note_name, written
from recurra.tasks.music.rolls import expected, rolls

if TYPE_CHECKING:
    from recurra.tasks.music.task import Heard, Music, MusicPiece


def explained(task: Music, model: torch.nn.Module, example: MusicPiece, device: torch.device) -> ExplanationTarget:
    """The log-probability of the last chord."""
    output: Heard = answer_of(task, model, example, device)
    chances = task.chances(model, example, device)
    names = [written([chord]) for chord in example.chords]
    numbers = [str(k) for k in range(1, len(names) + 1)]
    steps = zip(numbers, names, expected(chances, task.lowest), output.nats, strict=True)
    rows = tuple((k, name, likely, f"{nats:.2f}") for k, name, likely, nats in steps)
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        ("<start>", *(f"{k}:{name}" for k, name in zip(numbers[:-1], names, strict=False))),
        entry_of(model),
        {"encoder": ("<start>", *numbers[:-1])},
        copies_of(task, example, device),
        _last_chord,
        f"the log-probability of the last chord, '{names[-1]}'",
        tuple(_maps(task, example, chances, output.nats, numbers)),
        (Table("Steps", ("step", "chord", "expected", "nats"), rows),),
        unit="chord",
        features=tuple(note_name(note) for note in range(task.lowest, task.highest + 1)),
    )


def _maps(
    task: Music, piece: MusicPiece, chances: NDArray[np.float64], nats: Sequence[float], numbers: Sequence[str]
) -> Iterator[HeatMap]:
    """Each piece of what came above that of what was expected; nats of the steps."""
    rows, came, said = rolls(piece.chords, chances, task.lowest)
    title = "Notes that were expected: how probable each was, given the steps before"
    for pair in zip(
        in_pieces("Notes that came", rows, numbers, came), in_pieces(title, rows, numbers, said), strict=True
    ):
        yield from pair
    worst, surprise = beside_largest(nats)
    yield from in_pieces(f"Nats of each step, beside the largest, {worst:.2f}", ["nats"], numbers, surprise)


def _last_chord(prediction: Prediction, batch: Batch) -> Tensor:
    logits, notes = prediction.outputs["logits"][-1].double(), batch.targets["notes"][-1].double()
    return -torch.nn.functional.binary_cross_entropy_with_logits(logits, notes, reduction="sum")
