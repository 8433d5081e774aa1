"""Weights in one piece of memory, in large pages: what is read from beginning to end in each call is found faster.

A page of 4 KiB holds two or three rows of a matrix; looking up where each page is takes a tenth of the time in which a
few rows are multiplied with weights that come from memory.
"""

from __future__ import annotations

import mmap

import torch
from torch import nn

from recurra.engine.memory import PLAIN

LARGE = 2 * 2**20  # bytes of a large page
LINES = 128  # each tensor begins at a multiple of so many bytes
# Less than this stays in a cache, where pages count little.
LEAST = 8 * 2**20


def gather(module: nn.Module) -> bool:
    """Move a module's parameters, in their order, into memory of its own in large pages; whether that was done.

    For modules that train no more: all parameters are parts of one storage then. float32 on the CPU alone, and where
    the system is asked for large pages by madvise (Linux); parameters that share memory stay where they are.
    """
    parameters = list(module.parameters())
    room = [-(-p.nbytes // LINES) * LINES for p in parameters]
    if not hasattr(mmap, "MADV_HUGEPAGE") or sum(room) < LEAST or not _can_move(parameters):
        return False
    try:
        # Private, since large pages of shared memory are another setting of the system.
        memory = mmap.mmap(-1, sum(room) + LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        return False
    # The tensor holds the memory for as long as it or a part of it is there.
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    at = -whole.data_ptr() % LARGE
    with torch.no_grad():
        for p, size in zip(parameters, room, strict=True):
            p.data = whole[at : at + p.nbytes].view(torch.float32).view(p.shape).copy_(p)
            at += size
    return True


def _can_move(parameters: list[nn.Parameter]) -> bool:
    plain = all(
        type(p) in PLAIN and p.dtype is torch.float32 and p.is_cpu and p.is_contiguous() and p.numel()
        for p in parameters
    )
    return plain and len({p.untyped_storage().data_ptr() for p in parameters}) == len(parameters)
