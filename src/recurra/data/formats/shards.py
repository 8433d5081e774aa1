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
_URL = re.compile(r"([a-z][a-z0-9+.:-]+):/+(.*)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")
_PARTITION = re.compile(r"([^=/]+)=([^/]*)")
NULL = "__HIVE_DEFAULT_PARTITION__"
PARQUET = (".parquet", ".pq")
# Which extra of recurra brings the package that fsspec needs for a kind of storage.
EXTRAS: Final[Mapping[str, str]] = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
# Kinds of storage whose names end in a query, in which a signature may stand that is nobody else's business.
WEB: Final = ("http://", "https://")
# What stands in the names of a query's parts where it signs (Amazon's, Google's, Azure's) or lets in.
SECRETS: Final = (
    "signature",
    "token",
    "credential",
    "secret",
    "password",
    "accesskey",
    "access_key",
    "apikey",
    "api_key",
)
# Queries of URLs that this process was given, by the URL without them: `unsigned`.
_QUERIES: dict[str, str] = {}
# What says of which version a file is, by the word of its storage.
VERSIONS: Final = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
# Bytes that are copied at once.
PIECE = 2**22


@dataclass(frozen=True, slots=True)
class Shard:
    """One file. name: in messages and origins      size: bytes      fields: of its folders' names, the same in each row

    system: of fsspec, where the file is not on this machine, and path: its name there
    version: another one when the file has been changed, as far as its storage tells
    ranges: bytes that are copied of a file elsewhere, from and to (None: its end), into their places; (): all
    """

    name: str
    size: int
    fields: Mapping[str, str | None] = field(default_factory=dict)
    system: Any = None
    path: str = ""
    version: str = ""
    ranges: tuple[tuple[int, int | None], ...] = ()

    def __str__(self) -> str:
        return self.name

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
                whole = self._copy(copy)
            except Exception as error:
                raise DataError(f"{self.name}: cannot be copied to {folder}: {_told(error)}.") from error
            if whole and self.size not in (0, there := copy.stat().st_size):
                raise DataError(f"{self.name}: expected {self.size:,} bytes, got {there:,}. Was it changed meanwhile?")
            yield copy
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _copy(self, copy: Path) -> bool:
        """Whether all of it is copied: also where storage gives something else for a range, as some of the web do."""
        with open(copy, "wb") as target:
            if self.ranges:
                starts, ends = zip(*self.ranges, strict=True)
                parts = self.system.cat_ranges([self.path] * len(starts), [*starts], [*ends], on_error="raise")
                given = [*zip(starts, ends, parts, strict=True)]
                if all(end is None or len(part) == end - start for start, end, part in given):
                    for start, _, part in given:
                        target.seek(start)  # what is skipped takes no room
                        target.write(part)
                    return False
            with self.system.open(self.path, "rb") as source:
                shutil.copyfileobj(source, target, PIECE)
            return True


def url_of(path: str | Path) -> str | None:
    """The URL that a path was made from; None of any other path. Chains (`zip://a.csv::s3://b/c.zip`) are URLs too."""
    found = _URL.fullmatch(str(path))
    if found is None or os.path.exists(path):
        return None
    return f"file:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"


def unsigned(path: str) -> str:
    """A URL without its query, if that holds a signature or a token; of another path itself.

    This process keeps the query in mind, and reads the URL with it: configs, reports and messages have none.
    """
    bare, _, query = path.partition("?")
    url = url_of(bare)
    if url is None or not _signs(query):
        return path
    _QUERIES[url] = query
    return bare


def signed() -> list[str]:
    """The URLs that `unsigned` was given, with their queries: for processes that this one starts, and nothing else."""
    return [f"{url}?{query}" for url, query in _QUERIES.items()]


def _signs(query: str) -> bool:
    names = [pair.partition("=")[0].lower() for pair in query.split("&") if "=" in pair]
    return any(name == "sig" or any(secret in name for secret in SECRETS) for name in names)


def is_sharded(path: str | Path | Shard) -> bool:
    """Whether a path names several files, or one elsewhere; so does a shard of these."""
    if isinstance(path, Shard) or url_of(path) is not None:
        return True
    here = Path(path)
    return here.is_dir() and _has_parquet(here) if here.exists() else bool(_GLOB.search(str(path)))


def shards_of(path: str | Path | Shard) -> list[Shard]:
    """The files of a name, in order; of a shard itself. Empty ones, and what begins with `_` or `.`, are passed over.

    Raises DataError where there are none, ConfigError for storage whose package is missing, and for a URL that holds a
    password or a chain of file systems.
    """
    if isinstance(path, Shard):
        return [path]
    url = url_of(path)
    found = _elsewhere(url) if url is not None else _local(Path(path))
    if not found:
        raise DataError(f"{_shown(url or str(path))}: no file has such a name, or all are empty.")
    return found


def _local(path: Path) -> list[Shard]:
    whole = path.is_dir()
    base = str(path) if whole else _fixed(str(path))
    names = glob.glob(f"{glob.escape(base)}/**", recursive=True) if whole else glob.glob(str(path), recursive=True)
    chosen = sorted(name for name in names if _is_data(name, base) and (not whole or _is_parquet(name)))
    loops: dict[str, bool] = {}
    found = []
    for name in chosen:
        if os.path.isfile(name) and not _loops(os.path.dirname(name), base, loops):
            stat = os.stat(name)
            found.append(Shard(name, stat.st_size, _fields_of(name), version=str(stat.st_mtime_ns)))
    return [one for one in found if one.size]


def _fixed(pattern: str) -> str:
    """The folder in front of a pattern's first sign."""
    found = _GLOB.search(pattern)
    return pattern[: found.start()].rpartition("/")[0] if found else pattern


def _loops(folder: str, base: str, known: dict[str, bool]) -> bool:
    """Whether a folder below `base` lies in a link to a folder around that link: what is there is there already."""
    if len(folder) <= len(base):
        return False
    if folder not in known:
        above = os.path.dirname(folder)
        around = os.path.realpath(above or ".")
        back = os.path.islink(folder) and os.path.commonpath([around, real := os.path.realpath(folder)]) == real
        known[folder] = back or _loops(above, base, known)
    return known[folder]


def _elsewhere(url: str) -> list[Shard]:
    url = f"{url}?{_QUERIES[url]}" if url in _QUERIES else url
    shown = _shown(url)
    fsspec = needs("fsspec", "s3", f"{shown}: such a name")
    if "::" in url:
        raise ConfigError(f"{shown}: a chain of file systems (::) is not read; unpack the file, and name it alone.")
    if _has_password(url):
        raise ConfigError(f"{shown}: a password does not belong into a name, as names are kept in runs and printed.")
    try:
        system, inside = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(url.partition(":")[0])
        how = f'pip install "recurra[{extra}]"' if extra else _told(error)
        raise ConfigError(f"{shown}: its kind of storage needs a package that is not installed; {how}.") from None
    except Exception as error:
        raise ConfigError(f"{shown}: {_told(error)}.") from error
    try:
        listed = _listed(system, inside, is_glob=bool(_GLOB.search(inside)) and shown == url)
    except FileNotFoundError:
        raise DataError(f"{shown}: there is no such file.") from None
    except Exception as error:
        raise DataError(f"{shown}: cannot be listed: {_told(error)}.") from error
    files = {name: one for name, one in listed.items() if one.get("type") == "file" and _is_data(name, _fixed(inside))}
    return [_remote(system, name, files[name]) for name in sorted(files) if files[name].get("size") != 0]


def _listed(system: Any, inside: str, *, is_glob: bool) -> Mapping[str, Mapping[str, Any]]:
    if is_glob:
        return dict(system.glob(inside, detail=True))
    if not inside.startswith(WEB) and system.isdir(inside):  # of the web, that takes the whole file into memory
        return {name: one for name, one in system.find(inside, detail=True).items() if _is_parquet(name)}
    return {inside: system.info(inside)}


def _remote(system: Any, name: str, found: Mapping[str, Any]) -> Shard:
    """size: 0 where the storage does not tell it, as some of the web do."""
    version = next((str(found[word]) for word in VERSIONS if found.get(word)), "")
    called = _shown(system.unstrip_protocol(name))
    return Shard(called, int(found.get("size") or 0), _fields_of(name), system, name, version)


def _shown(url: str) -> str:
    """What may be printed of a URL, and kept: no password, no signature."""
    if _has_password(url):
        scheme, _, rest = url.partition("://")
        url = f"{scheme}://***@{rest.rpartition('@')[2]}"
    bare, _, query = url.partition("?")
    return bare if url.startswith(WEB) or _signs(query) else url


def _has_password(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0]
    return ":" in host.rpartition("@")[0]


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
