"""A step of a recurrent decoder in one native call, float32 on the CPU: tokens' vectors, attention, cells, output.

Weights are packed before the first step. Each row is computed on its own, so it has the same bits alone and among
others, for any number of threads, and however far its source is padded. Beside the readable path results differ by
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import cpu
from recurra.engine.memory import address, in_order
from recurra.engine.stepper import Stepper
from recurra.engine.transformer import LinearNumbers

States: TypeAlias = tuple[tuple[Tensor, ...], ...]
Reads: TypeAlias = Literal["state", "tanh", "maxout"]
Feeds: TypeAlias = Literal["nothing", "context", "summary", "readout"]

# In the order in which native code numbers them.
READOUTS = ("state", "tanh", "maxout")
ATTENDS = (None, "before", "after")
FEEDS = ("nothing", "context", "summary", "readout")


@dataclass(frozen=True, slots=True)
class ScoreNumbers:
    """How a state is compared with keys of `size` numbers.

    query: what maps the state to such numbers; None: it has them      energy: (size,) of v . tanh(q + k); None: q . k
    scale: of the scores
    """

    size: int
    query: LinearNumbers | None = None
    energy: Tensor | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class RecurrentDecoderNumbers:
    """What a step reads beside the cells' weights.

    table: (V, E) of tokens      width: H, of the state that attends and is read      context: M, 0 where there is none
    readout: one of READOUTS, joint: its layer      attends: one of ATTENDS      feeds: one of FEEDS
    """

    table: Tensor
    width: int
    context: int
    score: ScoreNumbers | None
    readout: Reads
    joint: LinearNumbers | None
    output: LinearNumbers
    attends: Literal["before", "after"] | None
    feeds: Feeds

    @property
    def maps(self) -> list[LinearNumbers]:
        """The linear maps that there are."""
        found = [None if self.score is None else self.score.query, self.joint, self.output]
        return [one for one in found if one is not None]

    @property
    def copied(self) -> list[Tensor]:
        """What a plan copies."""
        energy = None if self.score is None else self.score.energy
        tensors = [t for one in self.maps for t in (one.weight, one.bias)]
        return [t for t in (*tensors, energy) if t is not None]

    @property
    def options(self) -> tuple[object, ...]:
        """All else that a plan is made of."""
        score = None if self.score is None else (self.score.size, self.score.query is None, self.score.scale)
        biases = tuple([one.bias is not None for one in self.maps])
        return self.width, self.context, score, self.readout, self.attends, self.feeds, biases

    def fits(self) -> bool:
        """Whether all sizes are such as native code expects."""
        (V, E), D = self.table.shape, self.output.weight.shape[1]
        score, joint = self.score, self.joint
        read = {"state": 0, "tanh": self.width + self.context, "maxout": self.width + E + self.context}[self.readout]
        wide = 2 * D if self.readout == "maxout" else D
        return (
            self.output.fits(V, D)
            and (joint.fits(wide, read) if joint is not None else self.width == D)
            and (score is None or score.query is None or score.query.fits(score.size, self.width))
            and (score is None or score.query is not None or score.size == self.width)
            and (score is None or score.energy is None or score.energy.shape == (score.size,))
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """What is looked at, once for all rows that read a source.

    keys: (N, T, K) as the plan reads them      raised: (N,) bytes, how; None: as they are
    values: (N, T, M)      lengths: (N,)
    """

    keys: Tensor
    raised: Tensor | None
    values: Tensor
    lengths: Tensor


@dataclass(frozen=True, slots=True)
class RowsBefore:
    """What a step of B rows goes on from.

    states: of each layer, (B', width)      source: (B',) which source each reads      fed: (B', D) the last readouts
    parents: (B,) which of these rows each row comes from; None: they are the same ones
    """

    states: States
    source: Tensor
    fed: Tensor | None
    parents: Tensor | None


@dataclass(frozen=True, slots=True)
class RowsAfter:
    """What a step leaves: as `RowsBefore`, of B rows."""

    states: States
    source: Tensor
    readout: Tensor | None


class RecurrentDecoderPlan:
    """A decoder's weights beside those of its cells, packed; later changes of the matrices are not seen.

    The caller has asked `can_step` of all tensors, and whether the sizes fit.
    """

    def __init__(self, numbers: RecurrentDecoderNumbers) -> None:
        self._table = in_order(numbers.table.detach())
        (V, E), D = self._table.shape, numbers.output.weight.shape[1]
        score = numbers.score or ScoreNumbers(0)
        none = [0, 0]
        held = [None if one is None else one.in_order() for one in (score.query, numbers.joint, numbers.output)]
        query, joint, output = (none if one is None else one.addresses for one in held)
        energy = None if score.energy is None else in_order(score.energy.detach())
        self._size, self._width, self._context = score.size, D, numbers.context
        self._reads, self._raises = numbers.readout != "state", energy is not None
        self._native = cpu._native.RecurrentDecoderPlan(
            cpu.instruction_set(),
            [E, numbers.width, score.size, numbers.context, D, V],
            [
                int(energy is not None),
                READOUTS.index(numbers.readout),
                ATTENDS.index(numbers.attends),
                FEEDS.index(numbers.feeds),
            ],
            score.scale,
            [address(self._table), *query, address(energy), *joint, *output],
        )
        self._numbers = sum(one.weight.numel() for one in numbers.maps)

    @property
    def nbytes(self) -> int:
        """Of the packed weights."""
        return int(self._native.nbytes)

    def sources(self, keys: Tensor, values: Tensor, lengths: Tensor) -> Sources:
        """Of keys (N, T, K), values (N, T, M) and lengths (N,). Raises ShapeError for other sizes."""
        (N, T, K), shape = keys.shape, (*keys.shape[:2], self._context)
        if self._size != K or values.shape != shape or lengths.shape != (N,):
            raise ShapeError(
                f"a decoder's source: keys {tuple(keys.shape)}, values {tuple(values.shape)} and lengths "
                f"{tuple(lengths.shape)}, expected (N, T, {self._size}), (N, T, {self._context}) and (N,)."
            )
        keys, values, lengths = in_order(keys.detach()), in_order(values.detach()), in_order(lengths.to(torch.int64))
        if not self._raises:
            return Sources(keys, None, values, lengths)
        made, raised = torch.empty_like(keys), torch.empty(N, dtype=torch.uint8)
        places = [t.data_ptr() for t in (keys, lengths, made, raised)]
        self._native.raise_keys([N, T, K], *places)
        return Sources(made, raised, values, lengths)

    def log_probs(
        self,
        tokens: Tensor,
        before: RowsBefore,
        layers: Sequence[Stepper],
        sources: Sources | None,
        summary: Tensor | None,
    ) -> tuple[Tensor, RowsAfter]:
        """Log-probabilities (B, V) of what comes after tokens (B,), and the rows after the step.

        Raises ShapeError for another number of tokens than rows, and IndexError for one that the table has not.
        """
        made = self._table.new_empty(len(tokens), len(self._table))
        return made, self._run(tokens, before, layers, sources, summary, (0, made, None))

    def best(
        self,
        tokens: Tensor,
        before: RowsBefore,
        layers: Sequence[Stepper],
        sources: Sources | None,
        summary: Tensor | None,
        k: int,
    ) -> tuple[Tensor, Tensor, RowsAfter]:
        """The k greatest of them and their tokens (B, k), as `DecoderPlan.best` tells them. Raises as `log_probs`, and
        ConfigError unless k is 1 or more."""
        if k < 1:
            raise ConfigError(f"k is {k}, expected 1 or more.")
        k = min(k, len(self._table))
        made = self._table.new_empty(len(tokens), k)
        best = torch.empty(len(tokens), k, dtype=torch.int64)
        return made, best, self._run(tokens, before, layers, sources, summary, (k, made, best))

    def _run(
        self,
        tokens: Tensor,
        before: RowsBefore,
        layers: Sequence[Stepper],
        sources: Sources | None,
        summary: Tensor | None,
        told: tuple[int, Tensor, Tensor | None],
    ) -> RowsAfter:
        B, old, parents = len(tokens), before.states, before.parents
        rows = len(before.source)
        expected = rows if parents is None else len(parents)
        if expected != B:
            raise ShapeError(f"a decoder's step: {B} tokens, expected {expected}.")
        tokens, parents = _numbers(tokens), None if parents is None else _numbers(parents)
        states = tuple(tuple(s.new_empty(B, s.shape[1]) for s in layer) for layer in old)
        old = tuple(tuple(in_order(s) for s in layer) for layer in old)
        readout = self._table.new_empty(B, self._width) if self._reads else None
        source = torch.empty(B, dtype=torch.int64)
        looked = (None,) * 4 if sources is None else (sources.keys, sources.values, sources.lengths, sources.raised)
        k, made, best = told
        numbers = self._numbers + sum(layer.numbers for layer in layers)
        threads = cpu.threads_of_call(2 * B * numbers)
        self._native.step(
            [layer.native for layer in layers],
            [B, threads, k, 0 if sources is None else sources.keys.shape[1], rows],
            [
                address(t)
                for t in (tokens, parents, before.source, summary, before.fed, *looked, source, readout, made, best)
            ],
            [[s.data_ptr() for s in layer] for layer in old],
            [[s.data_ptr() for s in layer] for layer in states],
        )
        return RowsAfter(states, source, readout)


def is_here() -> bool:
    """Whether `RecurrentDecoderPlan` can be made: not in an engine built before."""
    return cpu.available() and hasattr(cpu._native, "RecurrentDecoderPlan")


def _numbers(rows: Tensor) -> Tensor:
    """As native code reads them."""
    return in_order(rows if rows.dtype is torch.int64 else rows.to(torch.int64))
