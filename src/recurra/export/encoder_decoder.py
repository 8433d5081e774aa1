"""Models that say one token after another, as two ONNX files: what comes before the first step, and a step.

The outputs of the first file are the inputs of the first step, by their names. A step's outputs that begin with "next_"
are the inputs of the next one without that word; the others stay as they are. All but `position` have N rows first, so
that a beam search chooses hypotheses by taking rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.export import attending_decoder, recurrent_decoder
from recurra.export.encoders import EncodedValues, encoded, longest
from recurra.export.inputs import read
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.parts import Kept, Named, Part, Stepped
from recurra.models import EncoderDecoder
from recurra.models.decoders.attending import AttendingDecoder
from recurra.models.decoders.decoder import Decoder

FIRST, STEP = "encoder", "step"
NEXT = "next_"
# What the file calls inputs of the source, by the model's names.
NAMES = {"tokens": "source", "lengths": "source_lengths"}


@dataclass(frozen=True, slots=True)
class DecoderWriter:
    """How a kind of decoder is drawn, and what it says itself.

    kept:   decoder -> what it carries from step to step, by name
    start:  (drawing, decoder, the encoded source, copies or None) -> values of all that, and maybe more
    step:   (drawing, decoder, tokens (N,), what is kept) -> what is kept after them, and what is said
    some:   (random numbers, decoder, N, T) -> tokens and something that could be kept
    answer: (decoder, tokens and what is kept) -> its own state after them, and what it says
    arrays: (decoder, its state) -> what is kept, by name
    """

    kept: Callable[[Any], dict[str, Kept]]
    start: Callable[[Drawing, Any, EncodedValues, Value | None], dict[str, Value]]
    step: Callable[[Drawing, Any, Value, dict[str, Value]], Stepped]
    some: Callable[[np.random.Generator, Any, int, int], Named]
    answer: Callable[[Any, dict[str, torch.Tensor]], tuple[Any, Named]]
    arrays: Callable[[Any, Any], Named]


def encoder_decoder(model: EncoderDecoder, *, for_any: bool) -> list[Part]:
    """What the inputs read, source_lengths, with copying source_copy -> what the first step reads; and a step.

    Tokens are called source, features by their own name.

    Raises ConfigError for a decoder that is not known.
    """
    writer, decoder = _writer(model.decoder), model.decoder
    draw = Drawing(for_any=for_any)
    reading = read(draw, model.inputs, NAMES)
    copies = draw.input("source_copy", np.int64, ("T", "N")) if _copies(decoder) else None
    source = encoded(draw, model.encoder, reading.x, reading.lengths, {})
    found = writer.start(draw, decoder, source, copies)
    for name, kept in writer.kept(decoder).items():
        draw.output(name, found[name], kept.dtype, kept.shape)

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        T = min(T, longest(model.encoder))
        found = {NAMES.get(name, name): array for name, array in reading.ask(random, N, T).items()}
        if isinstance(decoder, Decoder) and copies is not None:
            found["source_copy"] = random.integers(0, decoder.output.out_features + 3, (T, N))
        return found

    def answer(model: EncoderDecoder, inputs: Named) -> Named:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        asked = {own: tensors[name] for own, name in NAMES.items() if name in tensors}
        batch = Batch({**tensors, **asked}, tensors["source_lengths"], {}, ())
        return writer.arrays(model.decoder, model.start(batch))

    return [Part(FIRST, draw, ask, answer), _step(writer, decoder, for_any=for_any)]


def _step(writer: DecoderWriter, decoder: nn.Module, *, for_any: bool) -> Part:
    """tokens (N,) and what is kept -> log_probs (N, V), what is kept after it, and what else is said."""
    draw, kept = Drawing(for_any=for_any), writer.kept(decoder)
    tokens = draw.input("tokens", np.int64, ("N",))
    old = {name: draw.input(name, one.dtype, one.shape) for name, one in kept.items()}
    found = writer.step(draw, decoder, tokens, old)
    for name, (value, shape) in found.said.items():
        draw.output(name, value, np.float32, shape)
    for name, one in kept.items():
        if one.changes:
            draw.output(f"{NEXT}{name}", found.new[name], one.dtype, one.after)

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return writer.some(random, decoder, N, T)

    def answer(model: EncoderDecoder, inputs: Named) -> Named:
        tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in inputs.items()}
        after, said = writer.answer(model.decoder, tensors)
        arrays = writer.arrays(model.decoder, after)
        return said | {f"{NEXT}{name}": arrays[name] for name, one in kept.items() if one.changes}

    return Part(STEP, draw, ask, answer)


def _copies(decoder: nn.Module) -> bool:
    return isinstance(decoder, Decoder) and decoder.gate is not None


def _writer(decoder: nn.Module) -> DecoderWriter:
    writer = WRITERS.get(type(decoder))
    if writer is None:
        raise ConfigError(f"export: there is no way to write a decoder {type(decoder).__name__} as ONNX.")
    return writer


# The type of a decoder -> how it is drawn
WRITERS: dict[type[nn.Module], DecoderWriter] = {
    kind: DecoderWriter(room.kept_of, room.start, room.step, room.some, room.answer, room.arrays)
    for kind, room in ((Decoder, recurrent_decoder), (AttendingDecoder, attending_decoder))
}
