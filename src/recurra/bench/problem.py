"""The numbers of one configuration, in NumPy: everybody who is measured gets the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recurra.bench.configuration import Configuration
from recurra.cells import CELLS
from recurra.lower import layout

Array = NDArray[np.float32]
SEED = 0


@dataclass(frozen=True)
class Problem:
    """Inputs, weights and the gradient that comes from above, drawn from a fixed seed.

    threads: how many a participant may use. Biases of the recurrent side are zero: Flax has none there.
    """

    configuration: Configuration
    threads: int = 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) real steps: uniform in [T/10, T] in mode "lengths", else T."""
        T, N = self.configuration.sizes[:2]
        if self.configuration.mode != "lengths":
            return np.full(N, T, dtype=np.int64)
        return _generator(1).integers(max(T // 10, 1), T + 1, N)

    @cached_property
    def tokens(self) -> int:
        """Real time steps of all sequences."""
        return int(self.lengths.sum())

    @cached_property
    def real(self) -> NDArray[np.bool_]:
        """(T, N), True where a step is real."""
        return np.arange(self.configuration.T)[:, None] < self.lengths

    @cached_property
    def x(self) -> Array:
        """(T, N, I); zero where padded, so that those who compute the padding have ordinary numbers there."""
        T, N, I, _ = self.configuration.sizes
        drawn = _generator(2).standard_normal((T, N, I), dtype=np.float32)
        return np.where(self.real[..., None], drawn, np.float32(0))

    @cached_property
    def d_output(self) -> Array:
        """(T, N, directions * H), the loss by the output; zero where padded."""
        T, N, _, H = self.configuration.sizes
        drawn = _generator(3).standard_normal((T, N, self.configuration.kind.directions * H), dtype=np.float32)
        return np.where(self.real[..., None], drawn, np.float32(0))

    @cached_property
    def weights(self) -> list[list[Mapping[str, Array]]]:
        """By layer, direction and the name of the parameter, in the shapes of `lower.layout` (torch's)."""
        generator = _generator(4)
        kind, H = self.configuration.kind, self.configuration.H
        inputs = [self.configuration.I] + [kind.directions * H] * (kind.layers - 1)
        return [[self._draw(generator, I) for _ in range(kind.directions)] for I in inputs]

    def _draw(self, generator: np.random.Generator, I: int) -> Mapping[str, Array]:
        H, drawn = self.configuration.H, {}
        for parameter in layout(CELLS[self.configuration.cell]):
            shape = parameter.shape({"I": I, "H": H, "P": H})
            values = generator.uniform(-1, 1, shape).astype(np.float32) * np.float32(H**-0.5)
            drawn[parameter.name] = np.zeros_like(values) if parameter.name == "bias_hh" else values
        return drawn

    @cached_property
    def operations(self) -> int:
        """Floating-point operations of the matrix products: 2 a weight and token, thrice that with gradients."""
        sizes = [w.size for layer in self.weights for one in layer for w in one.values() if w.ndim == 2]
        return 2 * self.tokens * sum(sizes) * (3 if self.configuration.kind.trains else 1)


def _generator(stream: int) -> np.random.Generator:
    return np.random.default_rng([SEED, stream])
