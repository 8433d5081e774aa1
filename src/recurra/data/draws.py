"""Numbers that are drawn for an example: a function of (seed, epoch, example), and of nothing else.

Nothing is kept between two draws, so a run that is resumed draws what it would have drawn, in any batch and rank.
"""

from __future__ import annotations

import hashlib

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
    both = drawn(key, number + number % 2, purpose).reshape(2, -1)
    radius, angle = np.sqrt(-2 * np.log1p(-both[0])), 2 * np.pi * both[1]
    found: NDArray[np.float64] = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:number]
    return found
