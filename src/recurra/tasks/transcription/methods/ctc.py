"""Speech by connectionist temporal classification: at each step a unit, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.decode.ctc import Emitted, collapsed, greedy
from recurra.decode.prefix_beam import prefix_beam
from recurra.decode.word_beam import word_beam
from recurra.engine.ctc import ctc_loss
from recurra.tasks.transcription.methods.contract import Decoding, Listener, Outputs
from recurra.tasks.transcription.methods.searching import CtcSearch


@dataclass(frozen=True, slots=True)
class Steps:
    """The most probable unit of each step, and how probable it is."""

    best: NDArray[np.int64]
    chances: NDArray[np.float64]

    @property
    def blank(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.best == 0
        return found

    @property
    def edges(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.diff(self.best)) + 1

    def units(self) -> Sequence[int]:
        return self.said().units

    def said(self) -> Emitted:
        return collapsed(self.best, self.chances)

    def certain(self, step: int) -> bool:
        return True

    def cut(self, step: int) -> tuple[Steps, Steps]:
        return Steps(self.best[:step], self.chances[:step]), Steps(self.best[step:], self.chances[step:])

    def ended(self) -> Steps:
        return self


class Ctc:
    """Graves et al. 2006: a text needs a step for each unit, and a blank between two that are equal."""

    word = "ctc"
    why = "CTC needs a step for each unit"

    def needed(self, units: Sequence[int]) -> int:
        return len(units) + sum(a == b for a, b in pairwise(units))

    def inputs(self, units: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return {}

    def nats(self, outputs: Outputs, lengths: Tensor, targets: Mapping[str, Tensor], rows: Tensor | None) -> Tensor:
        logits = outputs["logits"] if rows is None else outputs["logits"][:, rows]
        return ctc_loss(logits, lengths, targets["units"], targets["unit_lengths"])

    def search(self, model: nn.Module, batch: Batch, outputs: Outputs, lengths: Tensor, how: Decoding) -> list[Emitted]:
        logits = outputs["logits"].float()
        if how.beam == 1:
            return greedy(logits, lengths)
        if how.spoken is not None:
            return [best.emitted for (best,) in word_beam(logits, lengths, how.spoken(), how.beam)]
        return [best.emitted for (best,) in prefix_beam(logits, lengths, how.beam, **how.beside)]

    def listener(self, model: nn.Module, how: Decoding) -> Listener:
        if how.beam > 1 and how.spoken is not None:
            raise ConfigError(
                "task.lexicon: words are known by their pronunciations when the whole recording was heard; with a beam "
                "of 1 its units are heard as they come."
            )
        return _Greedy() if how.beam == 1 else CtcSearch(how)


class _Greedy:
    """Hears by the most probable unit of each step."""

    def begin(self) -> Steps:
        return Steps(np.zeros(0, np.int64), np.zeros(0))

    def parts(self, outputs: Outputs) -> Iterable[Outputs]:
        return (outputs,)

    def grown(self, path: Steps, outputs: Outputs) -> Steps:
        sure, best = outputs["logits"][:, 0].softmax(1).max(1)
        return Steps(
            np.concatenate([path.best, best.cpu().numpy()]),
            np.concatenate([path.chances, sure.double().cpu().numpy()]),
        )


def with_blank_first(units: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """Texts (N, U) as what was said before each of their units: target (U + 1, N), the blank first."""
    first = torch.zeros(1, len(units), dtype=torch.int64, device=units.device)
    return {"target": torch.cat([first, units.T]), "target_lengths": lengths + 1}
