"""Speech whose encoder waits for later steps, as an ONNX file that hears pieces of any size.

Of a piece something is said of as many steps as have seen all that they see: `output_lengths`. The others wait in the
states. `last` says of which rows nothing more comes, so that all of them is said.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.export.chunked import chunked, some_states, state_shapes
from recurra.export.encoders import EncodedValues
from recurra.export.heads import Said, said
from recurra.export.inputs import read
from recurra.export.onnx_graph import Drawing
from recurra.export.parts import Named, Part
from recurra.models import SequenceModel
from recurra.models.contract import STATE
from recurra.models.encoders.chunked import STEPS


def seeing_ahead(model: SequenceModel, *, for_any: bool) -> Part:
    """What the inputs read, lengths, last, and states -> the head's outputs, of how many steps, and states after."""
    draw, sizes = Drawing(for_any=for_any), state_shapes(model.encoder)
    source = read(draw, model.inputs, {})
    last = draw.input("last", np.int64, ("N",))
    given = {name: draw.input(STATE + name, np.float32, ("N", size)) for name, size in sizes.items()}
    found, number, after = chunked(draw, model.encoder, source.x, source.lengths, given, last)
    # The summary is of a whole, and no head of speech reads it.
    outputs = said(draw, model.head, EncodedValues(found, number, found, {}))
    for name, one in outputs.items():
        draw.output(name, one.value, np.float32, ("S", *one.shape[1:]))
    draw.output("output_lengths", number, np.int64, ("N",))
    for name, size in sizes.items():
        draw.output(f"next_{STATE}{name}", after[name], np.float32, ("N", size))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        states = {STATE + name: one for name, one in some_states(random, model.encoder, N).items()}
        return {**source.ask(random, N, T), "last": random.integers(0, 2, N), **states}

    def answer(model: SequenceModel, inputs: Named) -> Named:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        batch = Batch(tensors, tensors["lengths"], {}, ())
        both = [model.advance(batch, last=last) for last in (False, True)]
        return _row_by_row(both, outputs, list(sizes), inputs)

    return Part("", draw, ask, answer, pieces=True)


def _row_by_row(
    both: list[tuple[dict[str, Tensor], dict[str, Tensor]]],
    outputs: Mapping[str, Said],
    states: list[str],
    inputs: Named,
) -> Named:
    """Of each row what is said where more comes, or where nothing does, as `last` has it."""
    rows, last = range(len(inputs["last"])), inputs["last"] > 0
    pick = torch.from_numpy(last).unsqueeze(1)
    after = {name: torch.where(pick, both[1][1][STATE + name], both[0][1][STATE + name]).numpy() for name in states}
    number = (after[STEPS] - inputs[STATE + STEPS])[:, 0].astype(np.int64)
    found: Named = {"output_lengths": number}
    for name, one in outputs.items():
        each = [one.answer(outputs).numpy() for outputs, _ in both]
        found[name] = np.zeros((number.max(), *each[0].shape[1:]), each[0].dtype)
        for n in rows:
            found[name][: number[n], n] = each[int(last[n])][: number[n], n]
    return found | {f"next_{STATE}{name}": one for name, one in after.items()}
