"""Notes that sound together, step by step, to what sounds next: recurrent layers, and a yes or no for each note."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import BACKENDS, sequence_mask
from recurra.models import options as o
from recurra.nn import Linear, Recurrent


class Chords(nn.Module):
    """Chords x_0 .. x_{T-1} of each row, one number a note, to logits of x_1 .. x_T, each given all before it.

    num_notes: notes that can sound
    Notes of one step are independent, given the steps before (the RNN of Boulanger-Lewandowski et al. 2012,
    arXiv:1206.6392, section 5, without its RBM).
    Raises ConfigError for options that cannot take effect.
    """

    def __init__(
        self,
        num_notes: int,
        *,
        cell: Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)] = "lstm",
        hidden_size: Annotated[int, Opt("units of a layer", ge=1, le=o.WIDEST)] = 150,
        num_layers: Annotated[int, Opt("recurrent layers, one on the other", ge=1, le=o.DEEPEST)] = 1,
        proj_size: Annotated[
            int, Opt("units after the projection, for lstm_projected; 0 is none", ge=0, le=o.WIDEST)
        ] = 0,
        input_dropout: Annotated[float, Opt("share of notes that a step does not hear in training", ge=0, lt=1)] = 0.0,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: Annotated[
            str, Opt("what runs the cells; auto takes the fastest", choices=("auto", *BACKENDS))
        ] = "auto",
    ) -> None:
        super().__init__()
        if dropout and num_layers == 1:
            raise ConfigError("dropout: acts between layers, and there is one; use output_dropout, or 0.")
        self.input_dropout = nn.Dropout(input_dropout)
        self.recurrent = Recurrent(
            num_notes,
            hidden_size,
            num_layers,
            dropout=dropout,
            proj_size=proj_size,
            cell=cell,
            variational_dropout=variational_dropout,
            zoneout=zoneout,
            init=init,
            forget_bias=forget_bias,
            backend=backend,
        )
        self.output_dropout = nn.Dropout(output_dropout)
        self.output = Linear(self.recurrent.output_size, num_notes)

    def forward(self, batch: Batch) -> Prediction:
        """Logits (T, N, num_notes) of the next chord at each step.

        batch: inputs["notes"] (T, N, num_notes), 1 where a note sounds, lengths (N,); what is padded may be anything.
        "state.0", ...: the states before the first step, (layers, N, width); zero where absent.
        outputs: "logits", and "state.0", ...: after each row's last real step.
        """
        notes = batch.inputs["notes"]
        lengths = batch.lengths.to(notes.device)
        x = torch.where(sequence_mask(lengths, len(notes)).unsqueeze(2), notes, 0.0)
        given = tuple(batch.inputs[name] for name in _names(self.recurrent) if name in batch.inputs)
        before: Tensor | tuple[Tensor, ...] | None = (given if len(given) > 1 else given[0]) if given else None
        hidden, after = self.recurrent(self.input_dropout(x), before, lengths=lengths)
        states = after if isinstance(after, tuple) else (after,)
        logits = self.output(self.output_dropout(hidden))
        return Prediction({"logits": logits, **dict(zip(_names(self.recurrent), states, strict=True))})


def _names(layer: Recurrent) -> list[str]:
    return [f"state.{k}" for k in range(len(layer.cell.states))]
