"""Numbers that are drawn for an example: a function of (seed, epoch, example), and of nothing else.

Nothing is kept between two draws, so a run that is resumed draws what it would have drawn, in any batch and rank.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figure 17).
_STEP, _A, _B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALL = 2**64 - 1


def key_of(seed: int, epoch: int, sequence: bytes) -> int:
    """What the draws of an example come from. sequence: its bytes, so equal ones have the same draws in one epoch"""
    begun = _mixed(_mixed(seed & _ALL) ^ epoch)
    return _mixed(begun ^ int.from_bytes(hashlib.blake2b(sequence, digest_size=8).digest(), "little"))


def drawn(key: int, number: int, purpose: int) -> NDArray[np.float64]:
    """So many numbers in 0..1, 1 left out."""
    z = np.arange(1, number + 1, dtype=np.uint64) * np.uint64(_STEP) + np.uint64(_mixed(key ^ purpose))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_A)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_B)
    found: NDArray[np.float64] = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def _mixed(z: int) -> int:
    z = (z + _STEP) & _ALL
    z = ((z ^ (z >> 30)) * _A) & _ALL
    z = ((z ^ (z >> 27)) * _B) & _ALL
    return z ^ (z >> 31)


def normals(key: int, number: int, purpose: int) -> NDArray[np.float64]:
    """So many numbers of N(0, 1), by Box & Muller 1958."""
    return _normal(drawn(key, number + number % 2, purpose), number)


@dataclass(frozen=True, slots=True)
class Draws:
    """Numbers that no two of (seed, epoch, purpose, part) share for one sequence.

    Blocks of Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the key is the
    sequence's digest of 128 bits, the counter is those four side by side behind the number of the block. A key maps
    counters to blocks one to one, so nothing is drawn twice.

    seed: as 64 bits      epoch: 0 to 2**64 - 1
    """

    seed: int
    epoch: int
    sequence: bytes

    def uniform(self, number: int, purpose: int, part: int = 0) -> NDArray[np.float64]:
        """So many numbers in 0..1, 1 left out. purpose, part: 0 to 2**32 - 1"""
        counter = np.array([0, purpose << 32 | part, self.epoch, self.seed & _ALL], np.uint64)
        key = np.frombuffer(hashlib.blake2b(self.sequence, digest_size=16).digest(), "<u8").astype(np.uint64)
        raw = np.random.Philox(key=key, counter=counter).random_raw(number)
        found: NDArray[np.float64] = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return found

    def normals(self, number: int, purpose: int, part: int = 0) -> NDArray[np.float64]:
        """So many numbers of N(0, 1)."""
        return _normal(self.uniform(number + number % 2, purpose, part), number)


def _normal(uniform: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """By Box & Muller 1958, of an even number of them."""
    both = uniform.reshape(2, -1)
    radius, angle = np.sqrt(-2 * np.log1p(-both[0])), 2 * np.pi * both[1]
    found: NDArray[np.float64] = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:number]
    return found
