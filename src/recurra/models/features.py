"""What the frozen part of a model says of a text, computed once and kept: it says the same in every epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.models.contract import Encoded

# Of Python's own, for each text that is kept: a tensor, its storage, a key and their places in a table.
OVERHEAD = 600


@runtime_checkable
class Freezes(Protocol):
    """What an encoder has besides whose lower layers may keep their weights, without dropout in them."""

    frozen_layers: int

    def below(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(T, N, M) of x (T, N, I): what the frozen layers say."""
        ...

    def above(self, x: Tensor, lengths: Tensor) -> Encoded:
        """What the others make of it."""
        ...


class KeptFeatures:
    """Outputs of frozen inputs and layers, by the pieces of a text: each is computed once, while there is room.

    room: bytes in all
    A text has the same bits alone and in any batch, so what is kept is what would be computed again.
    """

    def __init__(self, inputs: Callable[[Batch], tuple[Tensor, Tensor]], encoder: Freezes, room: int) -> None:
        self._inputs, self._encoder, self._room = inputs, encoder, room
        self._known: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_full(self) -> bool:
        """Whether a text has found no room, so that it is computed each time."""
        return self._room < 0

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the frozen layers say (T, N, M), zero where padded, and lengths (N,)."""
        tokens = batch.inputs["tokens"]
        lengths = batch.inputs.get("piece_lengths", batch.lengths).to(tokens.device)
        keys = _keys(tokens, lengths)
        fresh = self._computed(tokens, lengths, [n for n, key in enumerate(keys) if key not in self._known])
        rows = [fresh[n] if n in fresh else self._known[key] for n, key in enumerate(keys)]
        for n, row in fresh.items():
            self._keep(keys[n], row)
        found = torch.nn.utils.rnn.pad_sequence(rows)
        return torch.nn.functional.pad(found, (0, 0, 0, 0, 0, len(tokens) - len(found))), lengths

    def _computed(self, tokens: Tensor, lengths: Tensor, places: list[int]) -> dict[int, Tensor]:
        """Of these columns (L, M) each, by their places."""
        if not places:
            return {}
        at = torch.tensor(places, dtype=torch.int64, device=tokens.device)
        some, each = tokens[: int(lengths[at].max()), at], lengths[at]
        # Not in inference mode, in which dev is scored: training goes on from the same tensors.
        with torch.inference_mode(False), torch.no_grad():
            x, _ = self._inputs(Batch({"tokens": some.clone()}, each.clone(), {}, ()))
            said = self._encoder.below(x, each.clone())
            return {n: said[: int(each[k]), k].clone() for k, n in enumerate(places)}

    def _keep(self, key: bytes, row: Tensor) -> None:
        size = row.nbytes + len(key) + OVERHEAD
        if size <= self._room:
            self._known[key] = row
            self._room -= size
        else:
            self._room = -1


def _keys(tokens: Tensor, lengths: Tensor) -> list[bytes]:
    """Of each column (T, N) its real tokens."""
    columns: Any = tokens.t().to("cpu", torch.int32).numpy()
    return [column[:length].tobytes() for column, length in zip(columns, lengths.tolist(), strict=True)]
