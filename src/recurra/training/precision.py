"""Mixed precision: products of 8 significant bits, weights and all that is kept of 24.

Micikevicius et al. 2018, "Mixed precision training", arXiv:1710.03740, with bfloat16 in the place of float16: it has
the range of float32, so no loss has to be scaled. Which operations take which type is torch's list (`torch.autocast`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.base.errors import ConfigError

FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)
# Where torch knows which operations to take in bfloat16.
_DEVICES = ("cpu", "cuda")


class MixedPrecision:
    """Calls a model with products in bfloat16; what it says is float32, states that are carried on too."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        """Raises ConfigError for a device without mixed precision."""
        if device.type not in _DEVICES:
            raise ConfigError(
                f"training.precision: {BFLOAT16} needs a device of {' or '.join(_DEVICES)}, got {device}. Leave it out."
            )
        self._model, self._device = model, device.type

    def __call__(self, batch: Batch) -> Prediction:
        with torch.autocast(self._device, dtype=torch.bfloat16):
            prediction: Prediction = self._model(batch)
        return Prediction({name: _as_float32(value) for name, value in prediction.outputs.items()})

    def check(self, batch: Batch, loss: Callable[[Any, Batch], Loss]) -> None:
        """Try a batch, forward and backward, and leave the model as it was.

        Raises ConfigError where a part of the model takes float32 alone, and where no product is in bfloat16.
        """
        kept = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        seen = _Seen()  # type: ignore[no-untyped-call]
        try:
            with seen:
                tried = loss(self(batch), batch)
            if tried.count and tried.total.requires_grad:
                tried.total.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, TypeError, ValueError) as error:
            said = str(error).partition("\n")[0]
            if not any(word in said.lower() for word in ("dtype", "bfloat16", "scalar type")):
                raise
            raise ConfigError(
                f"training.precision: {BFLOAT16}: a part of this model takes float32 alone ({said[:160]}). Leave it "
                "out."
            ) from error
        finally:
            self._model.zero_grad(set_to_none=True)
            for name, buffer in self._model.named_buffers():
                buffer.data.copy_(kept[name])
        if not seen.bfloat16:
            raise ConfigError(
                f"training.precision: {BFLOAT16} has no effect on this model (device: {self._device}): its products "
                "are those of the engine, in float32. Leave it out."
            )


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees whether an operation gives numbers of bfloat16."""

    bfloat16 = False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        self.bfloat16 |= isinstance(found, Tensor) and found.dtype is torch.bfloat16
        return found


def _as_float32(value: Tensor) -> Tensor:
    return value.float() if value.dtype is torch.bfloat16 else value
