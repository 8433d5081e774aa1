"""Speech by a transducer: between steps any number of units, each given those before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.decode.ctc import Emitted
from recurra.decode.reading import Read
from recurra.decode.transducer import Network, emitted_at, spoken_on, transducer_beam, transducer_greedy
from recurra.engine.transducer import transducer_loss
from recurra.losses.transducer import Rows
from recurra.models.heads import TransducerHead
from recurra.tasks.transcription.methods.contract import Decoding, Listener, Outputs
from recurra.tasks.transcription.methods.ctc import with_blank_first
from recurra.tasks.transcription.methods.searching import TransducerSearch


@dataclass(frozen=True, slots=True)
class Units:
    """Units with their steps and probabilities, of so many steps; read: all that was said, as the network has it."""

    placed: tuple[tuple[int, int, float], ...]
    steps: int
    read: Read[Any]

    @property
    def blank(self) -> NDArray[np.bool_]:
        found = np.ones(self.steps, dtype=bool)
        found[[t for _, t, _ in self.placed]] = False
        return found

    @property
    def edges(self) -> NDArray[np.int64]:
        return np.arange(1, self.steps + 1)

    def units(self) -> Sequence[int]:
        return [unit for unit, _, _ in self.placed]

    def said(self) -> Emitted:
        return emitted_at(self.placed, self.steps)

    def certain(self, step: int) -> bool:
        return True

    def cut(self, step: int) -> tuple[Units, Units]:
        before = tuple(one for one in self.placed if one[1] < step)
        after = tuple((unit, t - step, chance) for unit, t, chance in self.placed[len(before) :])
        return Units(before, step, self.read), Units(after, self.steps - step, self.read)

    def ended(self) -> Units:
        return self


class Transducer:
    """Graves 2012: any text can be said in one step. Losses are of `transducer_loss`, with its FastEmit."""

    word = "transducer"
    why = "a transducer needs a step"

    def needed(self, units: Sequence[int]) -> int:
        return 1

    def inputs(self, units: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return with_blank_first(units, lengths)

    def nats(self, outputs: Outputs, lengths: Tensor, targets: Mapping[str, Tensor], rows: Tensor | None) -> Tensor:
        frames, said = outputs["frames"], outputs["said"]
        if rows is not None:
            frames, said = frames[:, rows], said[:, rows]
        return transducer_loss(
            Rows(
                frames,
                said,
                lengths,
                targets["units"],
                targets["unit_lengths"],
                weight=outputs["weight"],
                bias=outputs["bias"],
                fast_emit=float(outputs.get("fast_emit", 0.0)),
            )
        )

    def search(self, model: nn.Module, batch: Batch, outputs: Outputs, lengths: Tensor, how: Decoding) -> list[Emitted]:
        frames, network = outputs["frames"], network_of(model)
        if how.beam == 1:
            return transducer_greedy(frames, lengths, network)
        found = transducer_beam(frames, lengths, network, how.beam, **how.beside)
        return [best.emitted for (best,) in found]

    def listener(self, model: nn.Module, how: Decoding) -> Listener:
        network = network_of(model)
        return _Greedy(network) if how.beam == 1 else TransducerSearch(network, how)


class _Greedy:
    """Hears by the most probable unit, again and again."""

    def __init__(self, network: Network[Any]) -> None:
        self._network = network

    def begin(self) -> Units:
        return Units((), 0, self._network.first())

    def parts(self, outputs: Outputs) -> Iterable[Outputs]:
        return (outputs,)

    def grown(self, path: Units, outputs: Outputs) -> Units:
        frames = outputs["frames"][:, 0]
        new, read = spoken_on(frames, self._network, path.read, row=0)
        moved = tuple((unit, t + path.steps, chance) for unit, t, chance in new)
        return replace(path, placed=path.placed + moved, steps=path.steps + len(frames), read=read)


def network_of(model: nn.Module) -> Network[Any]:
    """What a search asks, with the weights of now."""
    head = cast(TransducerHead, model.head)
    with torch.no_grad():
        reader = head.reader()
    return Network(reader, reader.begin, head.joint)
