"""What all oracles share: the time loop, one sequence after the other, and the splitting of packed parameters.

An oracle is written from the paper, gate by gate, on vectors, and shares nothing with the library. It computes in the
type of its input: float64, or complex128, which gives exact derivatives by the complex step (Squire & Trapp 1998,
SIAM Review 40(1)). So it must use analytic functions only, and compare real parts where it has to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Params = dict[str, Array]
States = tuple[Array, ...]


@dataclass(frozen=True)
class Oracle:
    """One cell. step: (x_t (I,), states each (width,), params) -> the new states; the first one is the output.

    states: their names; widths: "H" or "P" of each
    unpack: parameters as a layer holds them, by torch's names, -> the oracle's own names
    """

    states: tuple[str, ...]
    step: Callable[[Array, States, Params], States]
    unpack: Callable[[Mapping[str, Array]], Params]
    widths: tuple[str, ...] = ()

    def run(
        self,
        x: Array,
        states: Sequence[Array],
        params: Params,
        lengths: Sequence[int] | None = None,
        reverse: bool = False,
    ) -> tuple[Array, States]:
        """All steps of x (T, N, I) from states (N, width): the outputs (T, N, width), and the last states.

        A sequence is read up to its length, and from there back to the start if `reverse`; the output is zero after it.
        """
        T, N, _ = x.shape
        kind = np.result_type(x, *states, *params.values())
        output = np.zeros((T, N, states[0].shape[1]), dtype=kind)
        last = tuple(s.astype(kind) for s in states)
        for n in range(N):
            now = tuple(s[n] for s in last)
            times = range(T if lengths is None else int(lengths[n]))
            for t in reversed(times) if reverse else times:
                now = self.step(x[t, n], now, params)
                output[t, n] = now[0]
            for whole, row in zip(last, now, strict=True):
                whole[n] = row
        return output, last


def blocks(packed: Mapping[str, Array], name: str, count: int, rows: int) -> list[Array]:
    """The `count` blocks of a packed parameter, one a gate; zeros for a bias that the layer has not."""
    if name not in packed:
        return [np.zeros(rows)] * count
    assert len(packed[name]) == count * rows, f"{name} has {len(packed[name])} rows, expected {count} * {rows}"
    return np.split(packed[name], count)


def logistic(a: Array) -> Array:
    """1 / (1 + exp(-a))."""
    return 1 / (1 + np.exp(-a))
