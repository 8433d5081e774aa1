"""Inputs, an encoder and a head as one ONNX file; of a transducer as three (`transducer`).

A wide part reads inputs of its own, and its share of the logits is in the file's.
Of a head that tells what follows, states go in and out: with T = 1 the file is a step of generation. So they do of
speech with a causal encoder, whose recordings may come in pieces. An output "next_state.h_l0" is the input
"state.h_l0" of the call that goes on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from recurra.base.contracts import Batch
from recurra.export.encoders import encoded, longest, some_states
from recurra.export.heads import answers, said
from recurra.export.inputs import read
from recurra.export.onnx_graph import Drawing
from recurra.export.parts import Named, Part
from recurra.export.transducer import joiner, predictor
from recurra.export.wide import drawn
from recurra.models import DecoderOnly, SequenceModel
from recurra.models.contract import STATE
from recurra.models.heads import CtcHead, TransducerHead


def sequence_model(model: SequenceModel, *, for_any: bool) -> list[Part]:
    """What the inputs read, lengths, and states before -> the head's outputs, and states after each row's last step."""
    draw = Drawing(for_any=for_any)
    source = read(draw, model.inputs, {})
    carries = model.head.predicts_next or (isinstance(model.head, CtcHead | TransducerHead) and model.encoder.causal)
    sizes = model.encoder.state_sizes() if carries else {}
    given = {name: draw.input(STATE + name, np.float32, ("N", size)) for name, size in sizes.items()}
    inside = encoded(draw, model.encoder, source.x, source.lengths, given)
    beside = drawn(draw, model.wide, said(draw, model.head, inside))
    outputs = beside.outputs
    for name, one in outputs.items():
        draw.output(name, one.value, np.float32, one.shape)
    for name, size in sizes.items():
        draw.output(f"next_{STATE}{name}", inside.states[name], np.float32, ("N", size))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        T = min(T, longest(model.encoder))
        states = {STATE + n: one for n, one in some_states(random, model.encoder, sizes, N, T).items()}
        return {**source.ask(random, N, T), **beside.ask(random, N), **states}

    def answer(model: SequenceModel, inputs: Named) -> Named:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        found, after = model.advance(Batch(tensors, tensors["lengths"], {}, ()))
        states = {f"next_{STATE}{name}": after[STATE + name].numpy() for name in sizes}
        return {**answers(found, outputs, inputs["lengths"]), **states}

    if isinstance(model.head, TransducerHead):
        rest = [one(model.head, for_any=for_any) for one in (predictor, joiner)]
        return [Part("encoder", draw, ask, answer), *rest]
    return [Part("", draw, ask, answer)]


def decoder_only(model: DecoderOnly, *, for_any: bool) -> list[Part]:
    """The network that reads source, start and target as one text."""
    (part,) = sequence_model(model.network, for_any=for_any)

    def answer(model: DecoderOnly, inputs: Named) -> Named:
        return part.answer(model.network, inputs)

    return [replace(part, answer=answer)]
