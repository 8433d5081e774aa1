"""Inputs, an encoder and a head as one ONNX file; of a transducer as three (`transducer`).

A wide part reads inputs of its own, and its share of the logits is in the file's.
Of a head that tells what follows, states go in and out: with T = 1 the file is a step of generation. So they do of
speech with a causal encoder, or one in chunks (`seeing_ahead`), whose recordings may come in pieces. An output
"next_state.h_l0" is the input "state.h_l0" of the call that goes on.
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
from recurra.export.parts import PIECES, Named, Part
from recurra.export.seeing_ahead import seeing_ahead
from recurra.export.transducer import joiner, predictor
from recurra.export.wide import drawn
from recurra.models import DecoderOnly, SequenceModel
from recurra.models.contract import STATE
from recurra.models.encoders import Chunked
from recurra.models.heads import CtcHead, TransducerHead


def sequence_model(model: SequenceModel, *, for_any: bool) -> list[Part]:
    """What the inputs read, lengths, and states before -> the head's outputs, and states after each row's last step."""
    speech = isinstance(model.head, CtcHead | TransducerHead)
    if speech and isinstance(model.encoder, Chunked):
        return _with_the_rest(model, seeing_ahead(model, for_any=for_any), for_any=for_any)
    draw = Drawing(for_any=for_any)
    source = read(draw, model.inputs, {})
    carries = model.head.predicts_next or (speech and model.encoder.causal)
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
        batch = Batch(tensors, tensors["lengths"], {}, ())
        found, after = model.advance(batch) if carries else (model(batch).outputs, {})
        states = {f"next_{STATE}{name}": after[STATE + name].numpy() for name in sizes}
        return {**answers(found, outputs, inputs["lengths"]), **states}

    pieces = bool(sizes) and longest(model.encoder) >= sum(PIECES)
    return _with_the_rest(model, Part("", draw, ask, answer, pieces=pieces), for_any=for_any)


def _with_the_rest(model: SequenceModel, part: Part, *, for_any: bool) -> list[Part]:
    """The file, and of a transducer the two others."""
    if not isinstance(model.head, TransducerHead):
        return [part]
    return [replace(part, name="encoder"), *(one(model.head, for_any=for_any) for one in (predictor, joiner))]


def decoder_only(model: DecoderOnly, *, for_any: bool) -> list[Part]:
    """The network that reads source, start and target as one text."""
    (part,) = sequence_model(model.network, for_any=for_any)

    def answer(model: DecoderOnly, inputs: Named) -> Named:
        return part.answer(model.network, inputs)

    return [replace(part, answer=answer)]
