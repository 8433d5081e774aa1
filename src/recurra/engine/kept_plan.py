"""Packed weights of a search, kept for the next one for as long as the weights are the same.

What says so are sums of the weights, as between calls of a recurrent layer (docs/concepts/engine.md, "Weights between
calls"): no version, address or hook knows of a write through `.data` or NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from recurra.engine import cpu
from recurra.engine.memory import in_order


class Plan(Protocol):
    """Weights that are packed. nbytes: of them"""

    @property
    def nbytes(self) -> int: ...


P = TypeVar("P", bound=Plan)


class KeptPlan(Generic[P]):
    """Where the packed form of a module's weights stays. A copy of it, or one from a file, starts anew."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[Hashable, P] | None = None

    def __deepcopy__(self, memo: object) -> KeptPlan[P]:
        return KeptPlan()

    def __reduce__(self) -> tuple[type[KeptPlan[P]], tuple[()]]:
        return KeptPlan, ()

    @property
    def nbytes(self) -> int:
        """Of what is kept."""
        return 0 if self._last is None else self._last[1].nbytes

    def drop(self) -> None:
        """Keep nothing: training changes weights at each step."""
        self._last = None

    def of(self, copied: Sequence[Tensor], read: Sequence[Tensor], options: Hashable, make: Callable[[], P]) -> P:
        """What `make` made of the same weights last time, or makes now.

        copied: weights that a plan holds a copy of      read: those that it reads where they are, from call to call
        options: all else that a plan is made of
        """
        known, last = self._known(copied, read, options), self._last
        if last is not None and last[0] == known:
            return last[1]
        plan = make()
        # Another thread may have written to the weights while they were packed.
        same = known is not None and self._known(copied, read, options) == known
        self._last = (known, plan) if same else None
        return plan

    @staticmethod
    def _known(copied: Sequence[Tensor], read: Sequence[Tensor], options: Hashable) -> Hashable:
        """What such weights are known by; None in an engine that was built before the checkout was updated."""
        if not hasattr(cpu._native, "checksums"):
            return None
        # What does not lie in order is copied where it is read, too.
        apart = [t for t in read if in_order(t) is not t]
        summed = [in_order(t.detach()) for t in (*copied, *apart)]
        isa = cpu.instruction_set()
        sums = cpu._native.checksums(isa, [t.data_ptr() for t in summed], [t.nbytes for t in summed])
        shapes = tuple(t.shape for t in (*copied, *read))
        return isa, options, shapes, tuple(t.data_ptr() for t in read), sums
