"""What a transducer has besides its encoder, as two ONNX files: the network that reads units, and the joint one.

A search begins with states of zeros and the blank as token: the joiner makes logits of the predictor's `said` and of a
frame of the encoder. After a unit the predictor reads it, with the states that it gave; after a blank the next frame
comes (Graves 2012, arXiv:1211.3711, section 2.4).
"""

from __future__ import annotations

import numpy as np
import torch

from recurra.export.encoders import run_layers
from recurra.export.layers import linear, write
from recurra.export.onnx_graph import Drawing
from recurra.export.parts import Named, Part, random_numbers, some_state, table_size
from recurra.models import SequenceModel
from recurra.models.contract import STATE
from recurra.models.encoders.recurrent import joined_states, sizes_of, split_states
from recurra.models.heads import TransducerHead


def predictor(head: TransducerHead, *, for_any: bool) -> Part:
    """tokens (N,), states before -> said (N, D), states after."""
    draw, sizes = Drawing(for_any=for_any), sizes_of(head.prediction)
    tokens = draw.input("tokens", np.int64, ("N",))
    given = {name: draw.input(STATE + name, np.float32, ("N", size)) for name, size in sizes.items()}
    x = draw.spread(write(draw, head.embedding, tokens), 0)
    ones = draw.put("Add", draw.put("Mul", tokens, draw.constant(0, np.int64)), draw.constant(1, np.int64))
    h, _, after = run_layers(draw, head.prediction, x, ones, given, 0)
    draw.output("said", linear(draw, head.right, draw.take(h, 0, 0)), np.float32, ("N", head.right.out_features))
    for name, size in sizes.items():
        draw.output(f"next_{STATE}{name}", after[name], np.float32, ("N", size))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        states = {STATE + n: some_state(random, n.partition("_")[0], (N, size)) for n, size in sizes.items()}
        return {"tokens": random.integers(0, table_size(head.embedding), N), **states}

    def answer(model: SequenceModel, inputs: Named) -> Named:
        one = model.head
        x = one.embedding(torch.from_numpy(inputs["tokens"])).unsqueeze(0)
        states = {name: torch.from_numpy(inputs[STATE + name]) for name in sizes}
        h, after = one.prediction(x, joined_states(one.prediction, states, x))
        found = {f"next_{STATE}{n}": state.numpy() for n, state in split_states(one.prediction, after).items()}
        return {"said": one.right(h[0]).numpy(), **found}

    return Part("predictor", draw, ask, answer)


def joiner(head: TransducerHead, *, for_any: bool) -> Part:
    """frames (N, D), said (N, D) -> logits (N, V)."""
    draw, size = Drawing(for_any=for_any), head.left.out_features
    both = [draw.input(name, np.float32, ("N", size)) for name in ("frames", "said")]
    logits = linear(draw, head.output, draw.put("Tanh", draw.put("Add", *both)))
    draw.output("logits", logits, np.float32, ("N", head.output.out_features))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return {name: random_numbers(random, N, size) for name in ("frames", "said")}

    def answer(model: SequenceModel, inputs: Named) -> Named:
        frames, said = (torch.from_numpy(inputs[name]) for name in ("frames", "said"))
        return {"logits": model.head.joint(frames, said).numpy()}

    return Part("joiner", draw, ask, answer)
