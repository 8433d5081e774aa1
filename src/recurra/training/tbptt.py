"""A model's state carried from batch to batch: truncated back-propagation through time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ShapeError

PREFIX = "state."


class TruncatedBPTT:
    """Calls a model on batch after batch, each row going on where it ended: its state is an input of the next call.

    The model takes and returns states as "state.h_l0", "state.c_l0", ..., rows first. inputs["fresh"] (N,) bool says
    where a row begins anew, with a state of zero; without it all rows do. No gradient flows from one batch into the one
    before (Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories"). A row whose state is not finite begins anew, so that one bad batch does not spoil all after it.
    """

    def __init__(self, model: Callable[[Batch], Prediction]) -> None:
        self._model = model
        self._state: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> Prediction:
        """The model's prediction for the next chunk of each row.

        Raises ShapeError if there are other rows than before and not all of them are fresh.
        """
        if batch.inputs.get("fresh") is None or bool(batch.inputs["fresh"].all()):
            self.reset()
        if any(len(s) != len(batch.lengths) for s in self._state.values()):
            raise ShapeError(
                f"a batch of {len(batch.lengths)} rows follows one of {len(next(iter(self._state.values())))}, and not "
                "all of them are fresh: expected the same rows, or reset() before."
            )
        prediction: Prediction = self._model(replace(batch, inputs={**batch.inputs, **self._state}))
        states = {name: value for name, value in prediction.outputs.items() if name.startswith(PREFIX)}
        self._state = _finite_rows({name: value.detach() for name, value in states.items()})
        return prediction

    def reset(self) -> None:
        """Forget: all rows begin anew."""
        self._state = {}

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds; empty where no row has begun."""
        return dict(self._state)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a `state`."""
        self._state = {name: value.detach().clone() for name, value in state.items()}


def _finite_rows(states: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """(N, width) each, with zeros in all of them for rows of which one holds NaN or infinity."""
    if not states:
        return {}
    finite = torch.stack([torch.isfinite(state).all(1) for state in states.values()]).all(0).unsqueeze(1)
    return {name: torch.where(finite, state, state.new_zeros(())) for name, state in states.items()}
