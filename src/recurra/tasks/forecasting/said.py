"""What is said of windows: one forecast, and all forecasts of a batch or a back-test as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from recurra.tasks.forecasting.windows import Floats, Ints

NAMES = ("point", "quantiles", "scale", "paths")


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A forecast in the units of the data. point: (h, D)      quantiles: (h, D, Q), of the task's levels, or None

    scale: (D,) by which the window was divided, for intervals      paths: (K, h, D) that were drawn, or None
    """

    point: Floats
    quantiles: Floats | None
    scale: Floats
    paths: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts(Sequence[Said]):
    """Forecasts as arrays, each made when it is asked for: those of `Said`, with N in front."""

    point: Floats
    quantiles: Floats | None
    scale: Floats
    paths: Floats | None = None

    @classmethod
    def of(cls, outputs: Sequence[Said]) -> Forecasts:
        """Of forecasts one by one; these themselves, where they are arrays."""
        if isinstance(outputs, cls):
            return outputs
        return cls(**{name: _stacked(outputs, name) for name in NAMES})

    @classmethod
    def joined(cls, parts: Sequence[Forecasts], order: Ints) -> Forecasts:
        """Parts one behind the other, and then in this order (N,) of places among them."""
        whole = parts[0] if len(parts) == 1 else cls(**{name: _behind(parts, name) for name in NAMES})
        return whole if np.array_equal(order, np.arange(len(whole))) else whole[order]

    def __len__(self) -> int:
        return len(self.point)

    @overload
    def __getitem__(self, at: int) -> Said: ...
    @overload
    def __getitem__(self, at: slice | Ints) -> Forecasts: ...
    def __getitem__(self, at: int | slice | Ints) -> Said | Forecasts:
        arrays = (self.point, self.quantiles, self.scale, self.paths)
        kind = Forecasts if isinstance(at, slice | np.ndarray) else Said
        return kind(*(None if array is None else array[at] for array in arrays))  # type: ignore[arg-type]


def _stacked(outputs: Sequence[Said], name: str) -> Any:
    """An array of all forecasts; None where they have none."""
    found = [getattr(one, name) for one in outputs]
    return None if found[0] is None else np.stack(found)


def _behind(parts: Sequence[Forecasts], name: str) -> Any:
    """An array of all parts; None where they have none."""
    found = [getattr(part, name) for part in parts]
    return None if found[0] is None else np.concatenate(found)
