"""Codes of rows, rows from codes, and rows whose missing numbers are filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.draws import key_of, normals
from recurra.tasks.autoencoding.baselines import Components, Neighbour
from recurra.tasks.autoencoding.series import ByColumns, Flat
from recurra.tasks.contract import CodeWriter
from recurra.tasks.series_reader import cut, written_series
from recurra.tasks.series_task import SeriesExample

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float32]
Hidden = NDArray[np.bool_]
# Rows that a model reads or says together; their steps, with those that pad them, and the numbers of these, unless
# one row has more.
ROWS, PADDED, NUMBERS = 256, 1 << 16, 1 << 21
# What codes are drawn from.
DRAWN = 40


class RowCoder:
    """Rows (T, D), as they are scaled, and their codes of Z numbers. steps: of the longest training row; width: D"""

    def __init__(self, task: Autoencoding, model: torch.nn.Module, device: torch.device) -> None:
        self.task = task
        self.model: Any = model.to(device).eval()
        self.device = device
        self.code_size = int(task.plan.code_size)
        self.is_distribution = bool(task.plan.variational)
        self.fills = task.reader.missing == "mask"
        self.steps = task.statistics.steps
        self.width = task.width

    @torch.inference_mode()
    def codes(self, examples: Sequence[AnyExample]) -> Floats:
        """(N, Z) of rows: the code that stands for each, without anything drawn."""
        parts = _parts([one.length for one in examples], self.width)
        found = [self.model.code(self._batch([examples[n] for n in some])).best.cpu().numpy() for some in parts]
        return np.concatenate([np.zeros((0, self.code_size), np.float32), *found])

    @torch.inference_mode()
    def values(self, codes: Floats, lengths: Sequence[int]) -> list[Floats]:
        """(T, D) of each row what is expected of its numbers, from codes (N, Z) and the steps T of each."""
        found = []
        for some in _parts(lengths, self.width):
            part = torch.from_numpy(codes[some.start : some.stop])
            found += self._said(part, [lengths[n] for n in some])
        return found

    def rows(self, examples: Sequence[AnyExample]) -> list[Floats]:
        """(T, D) of rows, NaN where a number is missing."""
        return self.task.rows(examples)

    def drawn(self, number: int, temperature: float, seed: int) -> Floats:
        """(N, Z) codes of N(0, temperature^2), a function of seed and place.

        Raises ConfigError for a code that is no distribution: nobody knows which codes stand for rows.
        """
        return drawn_codes(self, number, temperature, seed)

    def between(self, first: int, last: int, number: int) -> list[int]:
        """Steps that go evenly from the one to the other."""
        found: list[int] = np.linspace(first, last, number).round().astype(int).tolist()
        return found

    def linear(self, examples: Sequence[AnyExample]) -> LinearCoder:
        """Principal components with as many numbers as a code, from rows. Raises ConfigError if lengths differ."""
        if len({len(row) for row in self.rows(examples)}) != 1:
            raise ConfigError("rows differ in length, and principal components are of rows of one length.")
        found = Components(self.code_size)
        Flat(found).fit([], [row.astype(np.float64) for row in self.rows(examples)])
        return LinearCoder(self, found)

    # -- filling in ------------------------------------------------------------------------------------------------

    def region(self, example: AnyExample, lines: tuple[int, int] | None, columns: tuple[int, int] | None) -> Hidden:
        """(T, D) whether a number stands in these lines (steps of a series) and columns; from 1, both ends in.

        Raises ConfigError for places that the row does not have.
        """
        features = self.task.reader.num_features
        shape = (example.length * self.task.width // features, features)
        chosen = np.ones(shape, bool)
        for axis, (name, wanted) in enumerate((("lines", lines), ("columns", columns))):
            if wanted is None:
                continue
            first, last = wanted
            if not 1 <= first <= last <= shape[axis]:
                raise ConfigError(
                    f"{name}: expected places from 1 to {shape[axis]}, as {example.origin} has, got {first}-{last}."
                )
            inside = np.zeros(shape[axis], bool)
            inside[first - 1 : last] = True
            chosen &= inside[:, None] if axis == 0 else inside[None, :]
        return chosen.reshape(example.length, self.task.width)

    @torch.inference_mode()
    def filled(self, examples: Sequence[AnyExample], known: Sequence[Floats]) -> list[Floats]:
        """(T, D) of each row what is known of it, with what is said in the place of NaN.

        In one pass, by marks of what is there. To go on as the Markov chain of Rezende, Mohamed & Wierstra 2014
        (arXiv:1401.4082, appendix F) was tried, and made errors larger: docs/guide/autoencoders.md has the numbers.
        """
        found: list[Floats] = []
        for some in _parts([one.length for one in examples], self.width):
            marked = [_marked(examples[n], known[n]) for n in some]
            codes = self.model.code(self._batch(marked)).best
            said = self._said(codes, [one.length for one in marked])
            found += [np.where(np.isnan(known[n]), row, known[n]) for n, row in zip(some, said, strict=True)]
        return found

    def neighbours(self, known: Sequence[Floats]) -> list[NDArray[np.float64]]:
        """(T, D) with the nearest number before or behind in the place of what is NaN: what filling in must beat."""
        nearest = Neighbour()
        nearest.mean = self.task.statistics.mean
        by_columns = ByColumns(nearest)
        by_columns.mean = nearest.mean
        rows = [row.astype(np.float64) for row in known]
        return by_columns.predict(rows) if self.steps > 1 else Flat(nearest).predict(rows)

    def _batch(self, examples: Sequence[AnyExample]) -> Any:
        return self.task.collate(examples, range(len(examples))).to(self.device)

    def _said(self, codes: torch.Tensor, lengths: Sequence[int]) -> list[Floats]:
        steps = torch.tensor(list(lengths), dtype=torch.int64, device=self.device)
        mean = self.task.likelihood.mean
        said = mean(self.model.decode(codes.to(self.device), steps, mean=mean)).transpose(0, 1).cpu().numpy()
        return [row[:length] for row, length in zip(said, lengths, strict=True)]

    # -- as data has them ------------------------------------------------------------------------------------------

    def by_column(self, values: Sequence[Floats]) -> list[dict[str, Any]]:
        """Rows by column, in the units of the data."""
        return [self.task.by_column(row) for row in values]

    def completed(
        self, values: Sequence[Floats], records: Sequence[Record], gone: Sequence[Hidden]
    ) -> list[dict[str, Any]]:
        """The same, with what a record holds in the place of all that is not gone (T, D)."""
        return [self._completed(*each) for each in zip(values, records, gone, strict=True)]

    def _completed(self, row: Floats, record: Record, gone: Hidden) -> dict[str, Any]:
        reader = self.task.reader
        raw = cut(written_series(record, self.task.plan.columns, "mask"), reader.max_length, reader.keep)
        return self.task.shaped(np.where(gone.reshape(raw.shape), self.task.in_units(row), raw))

    def pictures(self, values: Sequence[Floats]) -> NDArray[np.uint8] | None:
        """(N, H, W) grey, from the least to the largest number of the training rows; None where these are none."""
        height = self.task.reader.steps or 1
        if height < 2 or self.task.width // height < 2:
            return None
        low, high = self.task.statistics.ends
        grey = np.clip((np.concatenate(values) - low) / max(high - low, 1e-12), 0, 1)
        found: NDArray[np.uint8] = np.round(255 * grey).astype(np.uint8).reshape(len(values), height, -1)
        return found


class LinearCoder:
    """The mean and the first principal components: codes and rows of one length, as `RowCoder` has them."""

    def __init__(self, beside: RowCoder, found: Components) -> None:
        self.beside, self.found = beside, found

    def codes(self, examples: Sequence[AnyExample]) -> Floats:
        """(N, Z); what is missing counts as the mean. Raises ConfigError for rows of another length."""
        rows = [row.reshape(-1) for row in self.beside.rows(examples)]
        if any(len(row) != len(self.found.mean) for row in rows):
            raise ConfigError("rows differ in length, and principal components are of rows of one length.")
        away = np.nan_to_num(np.stack(rows) - self.found.mean)
        return (away @ self.found.axes).astype(np.float32)

    def values(self, codes: Floats, lengths: Sequence[int]) -> list[Floats]:
        """(T, D) of each."""
        said = (self.found.mean + codes @ self.found.axes.T).astype(np.float32)
        return [row.reshape(length, -1) for row, length in zip(said, lengths, strict=True)]


def drawn_codes(writer: CodeWriter, number: int, temperature: float, seed: int) -> Floats:
    """(N, Z) codes of N(0, temperature^2), as `CodeWriter.drawn`."""
    if not writer.is_distribution:
        raise ConfigError(
            "the codes of this run are no distribution (task.variational: false), so that no row can be drawn. "
            "Give two rows to go between (--between), or train with task.variational: true (`recurra init vae`)."
        )
    rows = [normals(key_of(seed, 0, str(n).encode()), writer.code_size, DRAWN) for n in range(number)]
    return (temperature * np.array(rows).reshape(number, writer.code_size)).astype(np.float32)


def _parts(lengths: Sequence[int], width: int) -> Iterator[range]:
    """Places of rows that go together: one row with 100,000 steps must not pad 255 others to as many."""
    start, longest, most = 0, 0, min(PADDED, NUMBERS // width)
    for n, length in enumerate(lengths):
        longest = max(longest, length)
        if n > start and (n - start == ROWS or (n - start + 1) * longest > most):
            yield range(start, n)
            start, longest = n, length
    if start < len(lengths):
        yield range(start, len(lengths))


def _marked(example: AnyExample, known: Floats) -> SeriesExample:
    """The example as it is read: 0 where a number is NaN, and beside 1 where one is there."""
    assert isinstance(example, SeriesExample)  # an autoencoder reads no sound
    there = ~np.isnan(known)
    return replace(example, values=np.concatenate([np.where(there, known, 0), there], 1).astype(np.float32))
