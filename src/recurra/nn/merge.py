"""How the two directions of a bidirectional layer become one output."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recurra.base.registry import Registry

# (forward, backward), each (T, N, F) -> (T, N, F or 2 F)
MERGES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("merge")
MERGES.add("concat", lambda forward, backward: torch.cat([forward, backward], -1))
MERGES.add("sum", lambda forward, backward: forward + backward)
MERGES.add("mean", lambda forward, backward: (forward + backward) / 2)
MERGES.add("product", lambda forward, backward: forward * backward)


def merged_size(merge: str, size: int) -> int:
    """Features of the merged output, for directions of `size` features each."""
    return 2 * size if merge == "concat" else size
