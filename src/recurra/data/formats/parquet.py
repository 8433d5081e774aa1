"""Parquet files, by pyarrow: row groups one after another, in batches of a thousand rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.errors import DataError
from recurra.base.optional import needs
from recurra.data.formats.arrow_rows import BLOCK, EXTRA, ArrowRows, Batches, converter, features_of, readable
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import open_bytes

_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
# Bytes of a column that are read at once.
_BUFFER = 2**20


@contextmanager
def open_parquet(path: Path, options: ReadOptions) -> Iterator[Batches]:
    """Open a file. Raises DataError for what is no Parquet, is encrypted or cut off; ConfigError without pyarrow."""
    parquet = needs("pyarrow.parquet", EXTRA, f"{path}: a Parquet file")
    _check(path)
    with readable(path):
        file = parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    with file:
        with readable(path):
            schema = file.schema_arrow
            features = features_of(schema, str(path))
            wanted = [one.name for one in schema if converter(one.type) is not None]
        # A name with a dot would be taken for a path.
        chosen = None if any("." in name for name in schema.names) else wanted
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]

        def batches(first: int) -> Iterator[Any]:
            """Those of the row groups from one on."""
            wanted = range(first, len(groups))
            return iter(file.iter_batches(BLOCK, list(wanted), columns=chosen, use_threads=False))

        yield Batches(str(path), schema, batches(0), features, groups, batches)


def _check(path: Path) -> None:
    with open_bytes(path) as file:
        first = file.read(4)
    if not path.is_file():
        raise DataError(f"{path}: is no file on disk, which Parquet needs. Save it first.")
    with open(path, "rb") as whole:
        whole.seek(max(path.stat().st_size - 4, 0))
        last = whole.read(4)
    if _ENCRYPTED in (first, last):
        raise DataError(f"{path}: is encrypted. Write it again without encryption.")
    if first != _MAGIC:
        raise DataError(f"{path}: is no Parquet file: it begins with {first!r}, expected {_MAGIC!r}.")
    if last != _MAGIC:
        raise DataError(f"{path}: is cut off: it ends with {last!r}, expected {_MAGIC!r}. Copy or download it again.")


PARQUET = Format(
    doc="Parquet: columns of text, numbers, lists and objects",
    suffixes=(".parquet", ".pq"),
    open=lambda source, options: ArrowRows(source),
    options=("paths",),
    opened=open_parquet,
    by_line=False,
    marked=True,
)
