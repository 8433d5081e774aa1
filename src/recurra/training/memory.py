"""Memory that is freed after one step and asked for at the next stays with the process."""

from __future__ import annotations

import contextlib
import ctypes

# From malloc.h of glibc: where freed memory goes back to the system, and from what size on each tensor is mapped anew.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory of up to 1 GiB a tensor for the next one of its size; True if it will.

    By itself it maps a tensor above 32 MiB anew each time, and the system clears its pages. The gradient of a table
    of 33,278 words by 400 numbers is 53 MB, made several times a step: a language model took 319 ms a step, and 256 so
    (CPU time, one thread of an AMD EPYC, Zen 4), with 7 % more memory at its peak. It holds for a whole process, so a
    program asks for it, not a library. Elsewhere than on glibc nothing is changed.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(M_MMAP_THRESHOLD, LARGEST) == 1, mallopt(M_TRIM_THRESHOLD, 2 * LARGEST - 1) == 1])
    return False
