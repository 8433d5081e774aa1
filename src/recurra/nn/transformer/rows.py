"""Sequences of several lengths, one behind the other: what is computed for steps is computed for real ones alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from recurra.engine.span_attention import Spans


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences that are as long, and know as much of before, in neighbouring rows.

    first: row      sequences, length: rows are their product      seen: steps before, that a cache holds
    members: their places in the batch
    """

    first: int
    sequences: int
    length: int
    seen: int
    members: tuple[int, ...]

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + self.sequences * self.length)


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the steps of a batch stand when they are rows.

    place: (S,) of each row in (T * N), as x.flatten(0, 1) has them      steps: (S,) t of each row
    groups: sequences of one length are neighbours, so that attention takes them together without a copy
    spans: the same sequences, one by one
    """

    place: Tensor
    steps: Tensor
    groups: tuple[Group, ...]
    spans: Spans
    T: int
    N: int

    @classmethod
    def of(cls, T: int, lengths: Tensor, seen: Sequence[int] | None = None) -> Rows:
        """Of sequences of these lengths (N,), in T steps. seen: steps that each has had before; None: none"""
        each = [int(n) for n in lengths.tolist()]
        if len(each) == 1 and each[0]:
            return cls._alone(each[0], 0 if seen is None else seen[0], T, lengths.device)
        before = [0] * len(each) if seen is None else list(seen)
        order = sorted((n for n in range(len(each)) if each[n]), key=lambda n: (each[n], before[n], n))
        return cls._ordered(order, each, before, T, lengths.device)

    @classmethod
    def _alone(cls, length: int, seen: int, T: int, device: torch.device) -> Rows:
        """Of one sequence: the same, of which finding out is a fiftieth of a short text."""
        steps = torch.arange(length, device=device)
        return cls(steps, steps, (Group(0, 1, length, seen, (0,)),), Spans.of_one(length), T, 1)

    @classmethod
    def _ordered(
        cls, order: Sequence[int], each: Sequence[int], before: Sequence[int], T: int, device: torch.device
    ) -> Rows:
        """Of sequences in this order, in which those of one length are neighbours."""
        groups, first = [], 0
        for (length, had), some in groupby(order, key=lambda n: (each[n], before[n])):
            members = tuple(some)
            groups.append(Group(first, len(members), length, had, members))
            first += len(members) * length
        counts = torch.tensor([each[n] for n in order], dtype=torch.int64)
        which = torch.repeat_interleave(torch.tensor(order, dtype=torch.int64), counts)
        starts = torch.repeat_interleave(torch.cumsum(counts, 0) - counts, counts)
        steps = torch.arange(len(which)) - starts
        place = (steps * len(each) + which).to(device)
        return cls(place, steps.to(device), tuple(groups), Spans.of(counts), T, len(each))

    def packed(self, x: Tensor) -> Tensor:
        """(S, d) of (T, N, d)."""
        if self.N == 1 and len(self.place) == self.T:
            return x.squeeze(1)
        return x.reshape(self.T * self.N, x.shape[2]).index_select(0, self.place)

    def padded(self, rows: Tensor) -> Tensor:
        """(T, N, d), zero where padded, of (S, d)."""
        if self.N == 1 and len(rows) == self.T:
            return rows.unsqueeze(1)
        flat = rows.new_zeros(self.T * self.N, rows.shape[1])
        return flat.index_copy(0, self.place, rows).view(self.T, self.N, rows.shape[1])

    def means(self, rows: Tensor) -> Tensor:
        """(N, d) of (S, d): the mean of each sequence, zeros of one without steps; summed by its own length alone."""
        found = rows.new_zeros(self.N, rows.shape[1])
        for group in self.groups:
            each = rows[group.rows].view(group.sequences, group.length, -1).mean(1)
            found = found.index_copy(0, torch.tensor(group.members, dtype=torch.int64, device=rows.device), each)
        return found


@dataclass(frozen=True, slots=True)
class Pairs:
    """Targets and the sources that they read, as rows in one order of the sequences.

    A source whose target has no step is left out. groups: of one target length and one source length, on both sides
    spans: the same sequences, one by one
    """

    target: Rows
    source: Rows
    groups: tuple[tuple[Group, Group], ...]
    spans: Spans

    @classmethod
    def of(cls, T: int, lengths: Tensor, S: int, source_lengths: Tensor) -> Pairs:
        """Of targets of these lengths (N,), in T steps, and sources of theirs (N,), in S steps."""
        target, source = ([int(n) for n in given.tolist()] for given in (lengths, source_lengths))
        order = sorted((n for n in range(len(target)) if target[n]), key=lambda n: (target[n], source[n], n))
        groups, rows, read = [], 0, 0
        for (length, seen), some in groupby(order, key=lambda n: (target[n], source[n])):
            members = tuple(some)
            count = len(members)
            groups.append((Group(rows, count, length, 0, members), Group(read, count, seen, 0, members)))
            rows, read = rows + count * length, read + count * seen
        none = [0] * len(target)
        rows_of_target = Rows._ordered(order, target, none, T, lengths.device)
        rows_of_source = Rows._ordered(order, source, none, S, source_lengths.device)
        lengths_of = [torch.tensor([each[n] for n in order], dtype=torch.int64) for each in (target, source)]
        return cls(rows_of_target, rows_of_source, tuple(groups), Spans.of(*lengths_of))
