"""What Parquet, Arrow and saved datasets share: batches of columns to rows of plain values.

Text, numbers, booleans, lists and objects stay what they are in JSON; dates and decimals are text; NaN is null, as
pandas writes a missing value so. Columns of other types (pictures, bytes) are left out, which is said. Where Hugging
Face `datasets` left the names of classes in the metadata, a number of a class is its name.

Nothing of such a file is run: the types are those that Arrow itself knows, and metadata is read as JSON.
"""

from __future__ import annotations

import datetime
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from recurra.base import plain_json
from recurra.base.errors import ConfigError, DataError
from recurra.base.optional import needs
from recurra.data.formats.lines import MAX_LINE_BYTES, BadRowError, Line, Mark

EXTRA = "arrow"
# Rows that are converted at once.
BLOCK = 1024
# Levels of lists and objects in each other.
MAX_DEPTH = 30
_METADATA = b"huggingface"
# A number without a class, by the convention of `datasets`.
_NO_CLASS = -1
Convert = Callable[[Any], Any]


class Batches:
    """The batches of a file, or of several one after another. path: as the user gave it. said: see `Rows`.

    schema: of all of them      features: what `datasets` knows of the columns, by their names
    rows: those of the batch that was read last, as Arrow has them
    groups: rows of each group of a file whose groups are read by themselves      again: the batches from a group on
    """

    def __init__(
        self,
        path: str,
        schema: Any,
        batches: Iterator[Any],
        features: Mapping[str, Any],
        groups: Sequence[int] = (),
        again: Callable[[int], Iterator[Any]] | None = None,
    ) -> None:
        self.path, self.schema, self.batches, self.features = path, schema, batches, features
        self._ends, self._again = [0, *accumulate(groups)], again
        self._starts = frozenset(self._ends)
        self.rows: Iterator[tuple[Any, ...]] = iter(())
        self.number = self._skipped = 0
        self.said: list[str] = []

    @property
    def at_group(self) -> bool:
        """Whether the next row is the first of a group."""
        return self.number in self._starts

    def mark(self) -> Mark | None:
        """Where the next row stands: in which group, and the number of rows before it; None in a file without groups.

        What stands before it in its group is decoded again, if not converted.
        """
        if self._again is None:
            return None
        group = bisect_right(self._ends, self.number) - 1
        return Mark(group, self.number, near=self._ends[group] == self.number)

    def go_to(self, mark: Mark) -> None:
        """Make the row at a mark of these batches the next one; further on in a group reading goes on."""
        assert self._again is not None, "batches without groups have no marks"
        ahead = mark.number - self.number
        if ahead >= 0 and bisect_right(self._ends, self.number) - 1 == mark.place:
            self._skipped += ahead - sum(1 for _ in islice(self.rows, ahead))
            self.number = mark.number
            return
        self.batches, self.rows = self._again(mark.place), iter(())
        self.number, self._skipped = mark.number, mark.number - self._ends[mark.place]

    def next_batch(self) -> Any:
        """The next batch, without rows that were skipped. Raises StopIteration behind the last one."""
        batch = next(self.batches)
        while self._skipped and batch.num_rows <= self._skipped:
            self._skipped -= batch.num_rows
            batch = next(self.batches)
        skipped, self._skipped = self._skipped, 0
        return batch.slice(skipped)

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for a row, by default the last one read."""
        at = line or Line(self.number, "", "")
        return BadRowError(f"{self.path}:{at.number}: {message}", at)


class ArrowRows:
    """Rows of batches."""

    def __init__(self, source: Batches) -> None:
        self._source = source
        with readable(source.path):  # a name may be no UTF-8
            converts = {one.name: converter(one.type, source.features.get(one.name)) for one in source.schema}
        self._converts = {name: convert for name, convert in converts.items() if convert is not None}
        if len(converts) < len(source.schema):
            raise DataError(f"{source.path}: two columns have the same name. Give each column a name of its own.")
        left_out = [f"'{one.name}' ({str(one.type)[:40]})" for one in source.schema if one.name not in self._converts]
        if left_out:
            source.said.append(f"left out are columns that hold neither text nor numbers: {', '.join(left_out[:8])}.")
        if not self._converts:
            raise DataError(f"{source.path}: no column holds text or numbers.")
        self.columns = tuple(self._converts)

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next row. Raises BadRowError for a class that has no name, and a text over the limit of a line."""
        while (row := next(self._source.rows, None)) is None:
            self._source.rows = self._block()
        self._source.number += 1
        values: dict[str, Any] = {}
        for (name, convert), value in zip(self._converts.items(), row, strict=True):
            try:
                values[name] = convert(value)
            except _UnknownClassError as problem:
                raise self._source.bad(f"column '{name}': {problem}") from None
            if isinstance(value, str) and len(value) > MAX_LINE_BYTES:
                raise self._source.bad(f"column '{name}' holds more than {MAX_LINE_BYTES:,} characters, the limit.")
        return Line(self._source.number, "", ""), values

    def _block(self) -> Iterator[tuple[Any, ...]]:
        """The rows of the next batch, as Arrow has them. Raises StopIteration behind the last one."""
        with readable(self._source.path):
            batch = self._source.next_batch()
            batch.validate(full=True)  # also that text is UTF-8 and places lie inside of what they point into
        return self._rows_of(batch)

    def _rows_of(self, batch: Any) -> Iterator[tuple[Any, ...]]:
        for start in range(0, batch.num_rows, BLOCK):
            with readable(self._source.path):
                block = batch.slice(start, BLOCK)
                columns = [plain(block.column(block.schema.get_field_index(name))).to_pylist() for name in self.columns]
            yield from zip(*columns, strict=True)


class _UnknownClassError(Exception):
    """A number is none of a class."""


def plain(column: Any) -> Any:
    """A column whose times Python can hold: it knows microseconds."""
    pa = needs("pyarrow", EXTRA, "this file")
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return column.cast(pa.time64("us"), safe=False)
    return column


def converter(kind: Any, feature: Any = None, depth: int = 0) -> Convert | None:
    """From a value of an Arrow type, as Python has it, to a plain one; None for types that have none.

    feature: what `datasets` knows of the column
    """
    types = needs("pyarrow", EXTRA, "this file").types
    if depth > MAX_DEPTH:
        return None
    if types.is_dictionary(kind):
        return converter(kind.value_type, feature, depth + 1)
    if types.is_integer(kind):
        names = class_names(feature)
        return _same if names is None else lambda value: _named(value, names)
    if types.is_boolean(kind) or types.is_null(kind) or _is_text(types, kind):
        return _same
    if types.is_floating(kind):
        return lambda value: None if value is None or math.isnan(value) else float(value)
    if types.is_decimal(kind):
        return lambda value: None if value is None else str(value)
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind):
        return _time
    if types.is_map(kind):
        return _of_map(converter(kind.key_type, None, depth + 1), converter(kind.item_type, None, depth + 1))
    if types.is_struct(kind):
        return _of_struct(kind, feature, depth)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _of_list(converter(kind.value_type, _inner(feature), depth + 1))
    return None


def class_names(feature: Any) -> list[str] | None:
    """The names of a `ClassLabel`, by number; None of anything else."""
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


def features_of(schema: Any, path: str) -> Mapping[str, Any]:
    """What `datasets` left in the metadata of a file on its columns; nothing where it has none.

    Raises DataError for metadata that is no JSON.
    """
    found = (schema.metadata or {}).get(_METADATA)
    if found is None:
        return {}
    try:
        info = plain_json.loads(found)
    except ValueError as error:
        raise DataError(f"{path}: its metadata of Hugging Face datasets is damaged: {error}. Write it again.") from None
    info = info.get("info") if isinstance(info, Mapping) else None
    features = info.get("features") if isinstance(info, Mapping) else None
    return features if isinstance(features, Mapping) else {}


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Raise DataError, a sentence, for what pyarrow refuses inside."""
    pa = needs("pyarrow", EXTRA, f"{path}: such a file")
    try:
        yield
    except (DataError, ConfigError):
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        told = "".join(str(error).splitlines()[:1])[:160]
        raise DataError(f"{path}: cannot be read: {told or type(error).__name__}. Copy or download it again.") from None


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _same(value: Any) -> Any:
    return value


def _time(value: Any) -> str | None:
    if value is None:
        return None
    return str(value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat())


def _named(value: int | None, names: Sequence[str]) -> str | None:
    if value is None or value == _NO_CLASS:
        return None
    if not 0 <= value < len(names):
        raise _UnknownClassError(f"class {value} has no name; the metadata has {len(names)}, from 0.")
    return names[value]


def _of_list(inner: Convert | None) -> Convert | None:
    if inner is None or inner is _same:
        return inner
    return lambda value: None if value is None else [inner(one) for one in value]


def _of_map(key: Convert | None, item: Convert | None) -> Convert | None:
    if key is None or item is None:
        return None
    return lambda value: None if value is None else {str(key(one)): item(two) for one, two in value}


def _of_struct(kind: Any, feature: Any, depth: int) -> Convert | None:
    """Of the fields that have plain values. A sequence of objects is an object of lists, as `datasets` keeps it."""
    inner = _inner(feature) if isinstance(feature, Mapping) and "_type" in feature else feature
    known = inner if isinstance(inner, Mapping) else {}
    fields = [kind.field(place) for place in range(kind.num_fields)]
    converts = {one.name: converter(one.type, known.get(one.name), depth + 1) for one in fields}
    kept = {name: convert for name, convert in converts.items() if convert is not None}
    if not kept:
        return None
    return lambda value: None if value is None else {name: convert(value[name]) for name, convert in kept.items()}


def _inner(feature: Any) -> Any:
    """What is known of the values of a list."""
    if isinstance(feature, list):
        return feature[0] if len(feature) == 1 else None
    return feature.get("feature") if isinstance(feature, Mapping) else None
