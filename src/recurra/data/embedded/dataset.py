"""The contract of a data set that is on every machine, and how to write one to files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recurra.base.atomic import replacing
from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, did_you_mean
from recurra.base.registry import Registry


@dataclass(frozen=True, slots=True)
class EmbeddedSet:
    """A data set without a download.

    description: one line       licence: of the data       columns: fields of every record, all text
    splits: the names that `records` takes; each call gives the same records in the same order
    size: how many records a split has, without making them
    files: files of a split that its records name, by their names; None: there are none
    """

    description: str
    licence: str
    columns: tuple[str, ...]
    splits: tuple[str, ...]
    load: Callable[[str], Iterator[Record]]
    size: Callable[[str], int]
    files: Callable[[str], Iterator[tuple[str, bytes]]] | None = None

    def records(self, split: str) -> Iterator[Record]:
        """The records of one split. Raises ConfigError for a split that it does not have."""
        if split not in self.splits:
            raise ConfigError(
                f"unknown split '{split}'.{did_you_mean(split, self.splits)} Known: {', '.join(self.splits)}."
            )
        return self.load(split)


EMBEDDED: Registry[EmbeddedSet] = Registry("embedded data set")


def write_csv(name: str, folder: str | Path) -> tuple[Path, ...]:
    """Write each split of an embedded set to `folder`/NAME_SPLIT.csv; return the paths. The folder is made if missing.

    Raises ConfigError for an unknown name or when the folder cannot be written.
    """
    chosen = EMBEDDED[name]
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.files is not None:
            for split in chosen.splits:
                _write_files(chosen.files(split), folder)
        return tuple(_write_split(chosen, split, folder / f"{name}_{split}.csv") for split in chosen.splits)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error}.") from None


def _write_files(files: Iterator[tuple[str, bytes]], folder: Path) -> None:
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder / name) as file:
            file.write(content)


def _write_split(chosen: EmbeddedSet, split: str, path: Path) -> Path:
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(chosen.columns)
        writer.writerows([record.fields[column] for column in chosen.columns] for record in chosen.records(split))
        text.detach()  # flushes; the file itself stays open, for its fsync
    return path
