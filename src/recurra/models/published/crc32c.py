"""CRC-32C, the check of TensorFlow's checkpoints, in NumPy: many stretches at once, which are put together afterwards.

Castagnoli's polynomial, reflected (RFC 3720, appendix B.4). A step of it is linear over GF(2) but for the first and the
last exclusive or, so what a stretch adds to the state is found from zero, and moved on by a matrix of 32 x 32 bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint32]
POLYNOMIAL = np.uint32(0x82F63B78)
# Bytes of a stretch; and of what is looked at together, 4 MiB in stretches of which a row of words fits into L1.
STRETCH, TOGETHER = 256, 2**22
ALL = np.uint32(0xFFFFFFFF)


def crc32c(data: memoryview) -> int:
    """The check of bytes, 0..2^32 - 1."""
    state = np.full(1, ALL)
    for start in range(0, len(data), TOGETHER):
        part = data[start : start + TOGETHER]
        state = _moved(state, _on(len(part))) ^ _from_zero(part)
    return int(state[0] ^ ALL)


def _from_zero(part: memoryview) -> Bits:
    """(1,) the state after these bytes, from 0. Zeros in front change nothing, so the number of stretches is even."""
    number = 2 ** (max(-(-len(part) // STRETCH) - 1, 0)).bit_length()
    padded = np.zeros(number * STRETCH, np.uint8)
    padded[len(padded) - len(part) :] = part
    state, table = np.zeros(number, np.uint32), _table()
    for words in np.ascontiguousarray(padded.view("<u2").reshape(number, -1).T):
        state = table[(state ^ words) & 0xFFFF] ^ (state >> 16)
    size = STRETCH
    while len(state) > 1:
        state = _moved(state[0::2], _on(size)) ^ state[1::2]
        size *= 2
    return state


@cache
def _table() -> Bits:
    """(65536,) the state after two bytes, from each low half of a state."""
    state = np.arange(2**16, dtype=np.uint32)
    for _ in range(16):
        state = np.where(state & 1, (state >> 1) ^ POLYNOMIAL, state >> 1)
    return state


@cache
def _on(number: int) -> Bits:
    """(32,) where each bit of a state is after so many zero bytes."""
    if number == 0:
        return np.uint32(1) << np.arange(32, dtype=np.uint32)
    if number % 2:
        before = _on(number - 1)
        after: Bits = _table()[(before & 0xFF) << 8] ^ (before >> 8)
        return after
    half = _on(number // 2)
    return _moved(half, half)


def _moved(states: Bits, on: Bits) -> Bits:
    """States (S,), each moved on."""
    found = np.zeros_like(states)
    for bit in range(32):
        found ^= np.where((states >> np.uint32(bit)) & 1, on[bit], np.uint32(0))
    return found
