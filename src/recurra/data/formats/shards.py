"""Data in several files, here or in object storage: a glob, a folder of Parquet files, a URL of fsspec.

The files (shards) of one name are read one after another, by the order of their names, each by the format that reads
one file. What lies elsewhere is copied to this machine a file at a time, and the copy is removed behind its last row:
so memory does not grow with the data, and any format will do.

In folders named `key=value` (Hive's partitions) each row also has the field `key`.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from recurra.base.errors import ConfigError, DataError
from recurra.base.optional import needs

# As a path has it, where two slashes are one.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")
_PARTITION = re.compile(r"([^=/]+)=([^/]*)")
NULL = "__HIVE_DEFAULT_PARTITION__"
PARQUET = (".parquet", ".pq")
# Which extra of recurra brings the package that fsspec needs for a kind of storage.
EXTRAS: Final[Mapping[str, str]] = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
# Bytes that are copied at once.
PIECE = 2**22


@dataclass(frozen=True, slots=True)
class Shard:
    """One file. name: in messages and origins      size: bytes      fields: of its folders' names, the same in each row

    system: of fsspec, where the file is not on this machine
    """

    name: str
    size: int
    fields: Mapping[str, str | None] = field(default_factory=dict)
    system: Any = None

    @contextmanager
    def here(self, scratch: str | None = None) -> Iterator[Path]:
        """Its path on this machine; a copy lives as long as the block. Raises DataError where it cannot be copied."""
        if self.system is None:
            yield Path(self.name)
            return
        folder = tempfile.mkdtemp(prefix="recurra-shard-", dir=scratch)
        try:
            copy = Path(folder) / self.name.rpartition("/")[2]
            try:
                with self.system.open(self.name, "rb") as source, open(copy, "wb") as target:
                    shutil.copyfileobj(source, target, PIECE)
            except Exception as error:
                raise DataError(f"{self.name}: cannot be copied to {folder}: {_told(error)}.") from error
            yield copy
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def url_of(path: str | Path) -> str | None:
    """The URL that a path was made from; None of any other path."""
    found = _URL.fullmatch(str(path))
    if found is None or os.path.exists(path):
        return None
    return f"file:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"


def is_sharded(path: str | Path) -> bool:
    """Whether a path names several files, or one elsewhere."""
    if url_of(path) is not None:
        return True
    here = Path(path)
    return here.is_dir() and _has_parquet(here) if here.exists() else bool(_GLOB.search(str(path)))


def shards_of(path: str | Path) -> list[Shard]:
    """The files of a name, in order. Empty ones, and those that begin with `_` or `.`, are passed over.

    Raises DataError where there are none, ConfigError for storage whose package is missing.
    """
    url = url_of(path)
    found = _elsewhere(url) if url is not None else _local(Path(path))
    if not found:
        raise DataError(f"{url or path}: no file has such a name, or all are empty.")
    return found


def _local(path: Path) -> list[Shard]:
    whole = path.is_dir()
    names = glob.glob(f"{glob.escape(str(path))}/**", recursive=True) if whole else glob.glob(str(path), recursive=True)
    chosen = sorted(name for name in names if _is_data(name, str(path)) and (not whole or _is_parquet(name)))
    files = [Path(name) for name in chosen if os.path.isfile(name)]
    return [Shard(str(one), size, _fields_of(str(one))) for one in files if (size := one.stat().st_size)]


def _elsewhere(url: str) -> list[Shard]:
    fsspec = needs("fsspec", "s3", f"{url}: such a name")
    try:
        system, inside = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(url.partition(":")[0])
        how = f'pip install "recurra[{extra}]"' if extra else _told(error)
        raise ConfigError(f"{url}: its kind of storage needs a package that is not installed; {how}.") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {_told(error)}.") from None
    try:
        if _GLOB.search(inside):
            listed = system.glob(inside, detail=True)
        elif system.isdir(inside):
            listed = {name: one for name, one in system.find(inside, detail=True).items() if _is_parquet(name)}
        else:
            listed = {inside: system.info(inside)}
    except FileNotFoundError:
        raise DataError(f"{url}: there is no such file.") from None
    except Exception as error:
        raise DataError(f"{url}: cannot be listed: {_told(error)}.") from error
    files = {name: one for name, one in listed.items() if one.get("type") == "file" and _is_data(name, inside)}
    return [
        Shard(system.unstrip_protocol(name), int(files[name]["size"]), _fields_of(name), system)
        for name in sorted(files)
        if files[name]["size"]
    ]


def _is_data(name: str, base: str) -> bool:
    """Whether a file is none of those that writers leave beside their data (`_SUCCESS`, `.part-0.crc`)."""
    below = name.removeprefix(base.rstrip("/")) if name.startswith(base) else os.path.basename(name)
    return not any(part.startswith(("_", ".")) for part in below.split("/") if part)


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(PARQUET)


def _has_parquet(folder: Path) -> bool:
    """Whether there is a Parquet file in it, or in a folder of a partition."""
    with os.scandir(folder) as entries:
        return any(
            _is_parquet(one.name) if one.is_file() else "=" in one.name and _has_parquet(Path(one.path))
            for one in entries
            if not one.name.startswith(("_", "."))
        )


def _fields_of(name: str) -> dict[str, str | None]:
    found = (_PARTITION.fullmatch(part) for part in name.split("/")[:-1])
    return {unquote(one[1]): None if one[2] == NULL else unquote(one[2]) for one in found if one is not None}


def _told(error: Exception) -> str:
    told = "".join(str(error).splitlines()[:1])[:160].rstrip(".")
    return told or type(error).__name__
