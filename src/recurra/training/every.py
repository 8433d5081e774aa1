"""Now and then."""

from __future__ import annotations

from recurra.base.contracts import Progress


def every(n: int, progress: Progress) -> bool:
    """Is this the n-th step of the run, or the 2n-th, or the 3n-th...? n >= 1."""
    return progress.step % n == 0
