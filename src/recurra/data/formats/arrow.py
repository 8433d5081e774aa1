"""Arrow IPC, by pyarrow: files and streams, and Feather, whose second version is an Arrow file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from recurra.base.errors import DataError
from recurra.base.optional import needs
from recurra.data.formats.arrow_rows import EXTRA, ArrowRows, Batches, features_of, readable
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import open_bytes

_MAGIC, _FEATHER_1 = b"ARROW1", b"FEA1"


@contextmanager
def open_arrow(path: Path, options: ReadOptions) -> Iterator[Batches]:
    """Open a file or a stream. Raises DataError for what is none or is cut off; ConfigError without pyarrow."""
    with opened_batches(path) as (schema, batches):
        yield Batches(str(path), schema, batches, features_of(schema, str(path)))


@contextmanager
def opened_batches(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The schema and the batches of a file or a stream."""
    pa = needs("pyarrow", EXTRA, f"{path}: an Arrow file")
    needs("pyarrow.ipc", EXTRA, f"{path}: an Arrow file")
    with open_bytes(path) as file:
        first = file.read(6)
    if not path.is_file():
        raise DataError(f"{path}: is no file on disk, which Arrow needs. Save it first.")
    if first.startswith(_FEATHER_1):
        raise DataError(f"{path}: is Feather of version 1, which pyarrow reads no more. Write it again with version 2.")
    with ExitStack() as stack:
        with readable(path):
            source = stack.enter_context(pa.OSFile(str(path), "rb"))
            is_file = first == _MAGIC
            reader = stack.enter_context((pa.ipc.open_file if is_file else pa.ipc.open_stream)(source))
        batches = (reader.get_batch(n) for n in range(reader.num_record_batches)) if is_file else iter(reader)
        yield reader.schema, batches


ARROW = Format(
    doc="Arrow IPC, a file or a stream, and Feather",
    suffixes=(".arrow", ".feather", ".ipc"),
    open=lambda source, options: ArrowRows(source),
    options=("paths",),
    opened=open_arrow,
    by_line=False,
)
