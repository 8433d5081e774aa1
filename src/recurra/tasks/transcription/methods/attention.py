"""Speech by a decoder with attention, joined with CTC: the text is written when all of a recording was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.decode.ctc import Emitted
from recurra.decode.joint import joint_beam
from recurra.models.contract import Decoder, Encoded, states_of
from recurra.models.heads import AttentionHead
from recurra.nn.linear_cross_entropy import linear_cross_entropy
from recurra.tasks.transcription.methods.contract import Decoding, Listener, Outputs
from recurra.tasks.transcription.methods.ctc import Ctc, with_blank_first


class Attention:
    """Watanabe et al. 2017, equation 13: share * -ln p of CTC, and the rest of the decoder; the search likewise."""

    word = "attention"
    why = "CTC, which is beside attention, needs a step for each unit"

    def __init__(self, share: float) -> None:
        self._share, self._ctc = share, Ctc()

    def needed(self, units: Sequence[int]) -> int:
        return max(1, self._ctc.needed(units))

    def inputs(self, units: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return with_blank_first(units, lengths)

    def nats(self, outputs: Outputs, lengths: Tensor, targets: Mapping[str, Tensor], rows: Tensor | None) -> Tensor:
        written = _nats(outputs, targets, slice(None) if rows is None else rows)
        return self._share * self._ctc.nats(outputs, lengths, targets, rows) + (1 - self._share) * written

    def search(self, model: nn.Module, batch: Batch, outputs: Outputs, lengths: Tensor, how: Decoding) -> list[Emitted]:
        decoder = cast(AttentionHead, model.head).writer
        # Each row by itself, so that it is searched with the same bits whatever stands beside it.
        states = [
            decoder.start(_encoded(outputs, n, length), None) if length else None
            for n, length in enumerate(lengths.tolist())
        ]
        found = joint_beam(_Steps(decoder), states, outputs["logits"], lengths, self._share, how.beam, **how.beside)
        return [best.emitted for (best,) in found]

    def listener(self, model: nn.Module, how: Decoding) -> Listener:
        raise ConfigError(cast(AttentionHead, model.head).cannot_stream())


class _Steps:
    """A decoder as a search asks it."""

    def __init__(self, decoder: Decoder) -> None:
        self.step = decoder.step

    def select(self, state: Any, rows: Tensor) -> Any:
        return state.select(rows)


def _encoded(outputs: Outputs, row: int, length: int) -> Encoded:
    """What the decoder starts from, of one row."""
    x = outputs["encoded"][:length, row : row + 1]
    states = {name: one[row : row + 1] for name, one in states_of(outputs).items()}
    lengths = torch.tensor([length], dtype=torch.int64, device=x.device)
    return Encoded(x, lengths, outputs["summary"][row : row + 1], states)


def _nats(outputs: Outputs, targets: Mapping[str, Tensor], rows: Tensor | slice) -> Tensor:
    """(N,) -ln p of texts and of their ends; and the coverage loss, where the decoder has one."""
    units, lengths, hidden = targets["units"], targets["unit_lengths"], outputs["hidden"][:, rows]
    steps = torch.arange(len(hidden), device=units.device).unsqueeze(1)
    real = steps < lengths + 1
    wanted = torch.where(steps < lengths, torch.nn.functional.pad(units.T, (0, 0, 0, 1)), 0)
    each = linear_cross_entropy(hidden[real], outputs["weight"], outputs["bias"], wanted[real])
    nats = hidden.new_zeros(real.shape).masked_scatter(real, each)
    if "coverage_loss" in outputs:
        nats = nats + torch.where(real, outputs["coverage_loss"][:, rows], 0.0)
    return nats.sum(0)
