"""No command writes over what it reads, nor twice to one place: something would be lost without a word."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path

from recurra.cli.failures import UsageError


def refuse_what_is_read(option: str, path: Path | None, read: Mapping[str, str | Path | None]) -> None:
    """Raise UsageError where a file to be written is one that is read, or one of a glob's. read: by what it is called

    None, and what is no file here, are passed over.
    """
    if path is None or not path.exists():
        return
    for what, given in read.items():
        if given is not None and any(path.samefile(one) for one in _files(given)):
            raise UsageError(f"{option} {path}: is {what}; choose another name, so that nothing is lost.")


def refuse_one_place_for_two(command: str, written: Mapping[str, Path | None]) -> None:
    """Raise UsageError where a file would be written over another of the same call. written: by its option"""
    taken: dict[Path, str] = {}
    for option, path in written.items():
        if path and (before := taken.setdefault(path.resolve(), option)) != option:
            raise UsageError(
                f"recurra {command}: {before} and {option} both write {path}, expected two places; give each its own."
            )


def _files(given: str | Path) -> Iterator[Path]:
    path = Path(given)
    try:
        found = [path] if path.exists() else [Path(name) for name in glob.iglob(str(given), recursive=True)]
    except (OSError, ValueError):  # as a text that is no name of a file
        return
    yield from (one for one in found if one.exists())
