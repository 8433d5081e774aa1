"""Several processes (ranks) that train one model: each reads a part of every batch, and they add up their gradients.

The step follows the gradient of (sum of all losses) / (sum of all targets), as one process does: a mean of the ranks'
means would be another gradient wherever lengths differ. So neither the order of the examples nor the loss depends on
how many ranks there are, except for rounding, and for what dropout draws.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import FileStore, Store  # type: ignore[attr-defined]
from torch.nn import Parameter

from recurra.base.contracts import Loss
from recurra.base.errors import RecurraError, TrainingError

# Others wait while the first rank scores; who watches over the ranks ends them when one of them does not live any more.
LONGEST_WAIT = timedelta(days=7)
# Parts of a loss, at most: a rank without rows does not know how many there are, and all send as many numbers.
PARTS = 8


class LostError(RecurraError):
    """Another rank does not answer any more."""


class Ranks(Protocol):
    """What the loop asks of the ranks. number: this one's, from 0, which writes; rows: its part of a batch's rows."""

    @property
    def number(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def rows(self) -> slice: ...
    def backward(
        self, loss: Loss, tokens: int, parameters: Sequence[Parameter], *, begun: bool = False
    ) -> tuple[Loss, int]:
        """Fill the gradients of the mean over all ranks; the sums over all ranks of losses, targets and tokens.

        begun: the parameters have gradients of a part of this sum of losses already
        """

    def anywhere(self, marks: Tensor) -> None:
        """In place of whether this rank has a mark (N,) bool: whether any has."""

    def from_first(self, numbers: Sequence[float]) -> list[float]:
        """The first rank's numbers."""

    def bytes_from(self, source: int, data: bytes | None) -> bytes:
        """The bytes of one rank, of whatever length; the others give None."""

    def whole(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The rows (N, ...) of all ranks, in the order of the batch."""

    def check_alike(self, what: str, numbers: Callable[[], Sequence[float]]) -> None:
        """Raise TrainingError unless all ranks have the numbers that the first one has; not asked for alone."""


class SingleProcess:
    """One process, which has all rows."""

    number, size = 0, 1
    rows = slice(None)

    def backward(
        self, loss: Loss, tokens: int, parameters: Sequence[Parameter], *, begun: bool = False
    ) -> tuple[Loss, int]:
        """An empty batch has no gradient."""
        if begun:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad /= max(loss.count, 1)
        if loss.count and loss.total.requires_grad:
            loss.mean.backward()  # type: ignore[no-untyped-call]
        return loss, tokens

    def anywhere(self, marks: Tensor) -> None:
        """This one has all."""

    def from_first(self, numbers: Sequence[float]) -> list[float]:
        return list(numbers)

    def bytes_from(self, source: int, data: bytes | None) -> bytes:
        return data or b""

    def whole(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(states)

    def check_alike(self, what: str, numbers: Callable[[], Sequence[float]]) -> None:
        """Nobody to differ from."""


class Group:
    """One of `size` processes that have found one another through a file, or a store (gloo; nccl for what is on CUDA).

    Row n of a batch goes to rank n % size. Every verb waits for the same verb of all ranks, and raises LostError if
    one of them is gone.
    """

    def __init__(self, number: int, size: int, meeting: Path | Store, device: str = "cpu") -> None:
        self.number, self.size = number, size
        self.rows = slice(number, None, size)
        store = FileStore(str(meeting), size) if isinstance(meeting, Path) else meeting
        backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
        with _lost():
            dist.init_process_group(backend, store=store, rank=number, world_size=size, timeout=LONGEST_WAIT)

    def backward(
        self, loss: Loss, tokens: int, parameters: Sequence[Parameter], *, begun: bool = False
    ) -> tuple[Loss, int]:
        """A parameter that no rank has a gradient for keeps none; a rank without rows adds nothing."""
        if loss.count and loss.total.requires_grad:
            loss.total.backward()  # type: ignore[no-untyped-call]
        has = [float(p.grad is not None) for p in parameters]
        names = sorted(loss.parts)
        slots = [float(loss.parts[name]) for name in names] + [0.0] * (PARTS - len(names))
        given = torch.tensor([loss.total.item(), loss.count, tokens, *slots, *has], dtype=torch.float64)
        sums = self._sum(given).tolist()
        total, count = torch.tensor(sums[0], dtype=torch.float32), int(sums[1])
        if count:
            self._sum_gradients([p for p, one in zip(parameters, sums[3 + PARTS :], strict=True) if one], count)
        parts = {name: torch.tensor(sums[3 + k], dtype=torch.float32) for k, name in enumerate(names)}
        return Loss(total, count, parts), int(sums[2])

    def anywhere(self, marks: Tensor) -> None:
        """As numbers, which gloo adds up."""
        marks.copy_(self._sum(marks.to(torch.int32)) > 0)

    def from_first(self, numbers: Sequence[float]) -> list[float]:
        """The first rank's numbers; the others give as many, whatever they are."""
        return [float(number) for number in self._sent(torch.tensor(numbers, dtype=torch.float64), 0)]

    def bytes_from(self, source: int, data: bytes | None) -> bytes:
        """The length first, then what there is."""
        length = int(self._sent(torch.tensor([len(data or b"")], dtype=torch.int64), source))
        if not length:
            return b""
        sent = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(length, dtype=torch.uint8)
        return self._sent(sent, source).numpy().tobytes()

    def leave(self) -> None:
        """Wait for all ranks, each of which may then end."""
        self._sum(torch.zeros(1, dtype=torch.float64))

    def end(self) -> None:
        """Be no rank any more, at once: others that wait for this one learn it from closed connections."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def whole(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The first rank has the most rows, so it knows how many states there are and how wide they are, (N, width)."""
        ours = list(states.values())
        number = int(self.from_first([len(ours)])[0])
        if not number:
            return {}
        widths = self.from_first([s.shape[1] for s in ours] or [0.0] * number)
        rows = int(self._sum(torch.tensor([len(ours[0]) if ours else 0], dtype=torch.int64))[0])
        names = list(states) or [str(place) for place in range(number)]
        found = {}
        for place, (name, width) in enumerate(zip(names, widths, strict=True)):
            joined = torch.zeros(rows, int(width), dtype=torch.float32)
            if ours:
                joined[self.rows] = ours[place].cpu()
            # Bits and zeros are added as integers, so that each number stays as it is, minus zero too.
            found[name] = self._sum(joined.view(torch.int32)).view(torch.float32)
        return found

    def check_alike(self, what: str, numbers: Callable[[], Sequence[float]]) -> None:
        """Compare with the first rank's; all ranks raise, whichever differs."""
        ours = list(numbers())
        theirs = self.from_first(ours)
        if self._sum(torch.tensor([float(ours != theirs)], dtype=torch.float64)).item():
            raise TrainingError(
                f"the ranks differ in {what}: expected {theirs} as rank 0 has, rank {self.number} has {ours}. Were the "
                "data or the run folder changed meanwhile? Resume with `recurra train --resume`, or with --ranks 1."
            )

    def _sum_gradients(self, parameters: Sequence[Parameter], count: int) -> None:
        """The gradients of all ranks, added up and divided; one message for all parameters."""
        if not parameters:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
        parts = torch.split(self._sum(flat).div_(count), [p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def _sent(self, numbers: Tensor, source: int) -> Tensor:
        """In place, on all ranks but the source."""
        with _lost():
            dist.broadcast(numbers, src=source)
        return numbers

    def _sum(self, numbers: Tensor) -> Tensor:
        """In place."""
        with _lost():
            dist.all_reduce(numbers)
        return numbers


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LostError(f"another rank is gone: {str(error).splitlines()[0]}") from error
