"""What is measured: a cell, a mode and sizes; and the words of the command line that choose them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from recurra.base.errors import ConfigError
from recurra.base.registry import Registry
from recurra.cells import CELLS
from recurra.lower import projects

Sizes: TypeAlias = tuple[int, int, int, int]  # T, N, I, H

# Character models, taggers, large layers, a word language model, single numbers, short and wide, speech.
GRID: Final[tuple[Sizes, ...]] = (
    (100, 1, 64, 64),
    (50, 32, 64, 128),
    (100, 32, 128, 256),
    (100, 64, 256, 512),
    (35, 20, 650, 650),
    (400, 64, 1, 64),
    (20, 256, 300, 128),
    (500, 16, 80, 320),
)
STEPS: Final[tuple[Sizes, ...]] = ((1, 1, 64, 64), (1, 1, 256, 256), (1, 1, 512, 512))
QUICK: Final[tuple[Sizes, ...]] = (GRID[0], GRID[2])
ONE: Final[tuple[Sizes, ...]] = ((100, 32, 128, 256),)
SMALL: Final[tuple[Sizes, ...]] = ((50, 32, 64, 128),)

# What torch and most others have a layer for, then what nobody fuses.
USUAL_CELLS: Final = ("rnn", "lstm", "gru", "lstm_peephole", "gru_reset_before", "lstm_layernorm")
QUICK_CELLS: Final = ("lstm", "gru")
# 4 GiB of gates in float32; a typing error must not fill the memory.
MOST_GATES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Mode:
    """A kind of work. grid, quick: the sizes it is measured at; unit: of its values; trains: with all gradients."""

    doc: str
    unit: str
    grid: tuple[Sizes, ...]
    quick: tuple[Sizes, ...]
    trains: bool = True
    layers: int = 1
    directions: int = 1


MODES: Registry[Mode] = Registry("mode")
MODES.add("train", Mode("one training step: forward, backward, all gradients", "ms", GRID, QUICK))
MODES.add("infer", Mode("forward, without gradients", "ms", GRID, QUICK, trains=False))
MODES.add("lengths", Mode("a training step, lengths uniform in [T/10, T]", "ms", (*SMALL, *ONE), SMALL))
MODES.add("stream", Mode("one time step of one sequence, I = H, the Python call included", "us", STEPS, STEPS, False))
MODES.add("bidirectional", Mode("a training step of two bidirectional layers", "ms", ONE, SMALL, True, 2, 2))
MODES.add("memory", Mode("what a training step adds to the resident memory, at its peak", "MiB", ONE, ONE))
QUICK_MODES: Final = ("train", "infer", "lengths", "stream", "bidirectional")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One line of the table. T, N, I, H: time, batch, input size, units."""

    mode: str
    cell: str
    T: int
    N: int
    I: int
    H: int

    @property
    def kind(self) -> Mode:
        return MODES[self.mode]

    @property
    def sizes(self) -> Sizes:
        return self.T, self.N, self.I, self.H


def known_cells() -> tuple[str, ...]:
    """The cells that can be measured: those without a projection, whose size nobody has said."""
    return tuple(name for name, cell in CELLS.items() if not projects(cell))


def choose(
    *,
    modes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    grid: Sequence[str] | None = None,
    quick: bool = False,
) -> list[Configuration]:
    """The configurations that these words stand for, by mode, cell and sizes; None takes a mode's own.

    grid: numbers of `GRID`, or sizes as TxNxIxH
    Raises ConfigError for an unknown word, sizes out of range, or a grid that no chosen mode uses.
    """
    modes = _known(modes, (QUICK_MODES if quick else MODES), MODES, "modes")
    cells = _known(cells, (QUICK_CELLS if quick else USUAL_CELLS), _measurable(), "cells")
    given = None if grid is None else tuple(dict.fromkeys(map(sizes_of, grid)))
    if given is not None and modes == ["stream"]:
        raise ConfigError("grid: mode 'stream' has sizes of its own (T = N = 1), so it would do nothing; leave it out.")
    return list(_all(modes, cells, given, quick=quick))


def _all(
    modes: Sequence[str], cells: Sequence[str], given: tuple[Sizes, ...] | None, *, quick: bool
) -> Iterator[Configuration]:
    for mode in modes:
        kind = MODES[mode]
        own = kind.quick if quick else kind.grid
        for cell in cells:
            for sizes in own if given is None or mode == "stream" else given:
                yield Configuration(mode, cell, *sizes)


def _measurable() -> Registry[None]:
    cells: Registry[None] = Registry("cell")
    for name in known_cells():
        cells.add(name, None)
    return cells


def _known(words: Sequence[str] | None, usual: Iterable[str], known: Mapping[str, object], option: str) -> list[str]:
    if words is None:
        return list(usual)
    if not words:
        raise ConfigError(f"{option}: expected at least one of: {', '.join(known)}.")
    for word in words:
        known[word]
    return list(dict.fromkeys(words))


def sizes_of(word: str) -> Sizes:
    """`2` as the third of `GRID`, or `100x32x128x256` as T, N, I, H. Raises ConfigError."""
    if re.fullmatch(r"[0-9]{1,3}", word):
        if int(word) >= len(GRID):
            raise ConfigError(f"grid: there is no configuration {word}, expected 0 to {len(GRID) - 1}, or TxNxIxH.")
        return GRID[int(word)]
    if not re.fullmatch(r"[0-9]{1,6}(x[0-9]{1,6}){3}", word):
        raise ConfigError(f"grid: expected 0 to {len(GRID) - 1} or sizes like 100x32x128x256, got '{word}'.")
    T, N, I, H = map(int, word.split("x"))
    if min(T, N, I, H) < 1 or 4 * T * N * max(I, H) > MOST_GATES or 4 * H * max(I, H) > MOST_GATES:
        raise ConfigError(f"grid: '{word}' is out of range: sizes from 1, and 4 T N H and 4 H H up to {MOST_GATES:,}.")
    return T, N, I, H
