"""Folders that Hugging Face `datasets` saves to disk: `state.json`, `dataset_info.json` and Arrow streams.

A folder of splits has `dataset_dict.json` and a folder for each. Nothing of a folder is run; only files that lie in it
are read, in the order that `state.json` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base import plain_json
from recurra.base.errors import DataError
from recurra.data.formats.arrow import opened_batches
from recurra.data.formats.arrow_rows import ArrowRows, Batches, features_of
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.splits import split_of

STATE, SPLITS, INFO = "state.json", "dataset_dict.json", "dataset_info.json"


@contextmanager
def open_dataset(path: Path, options: ReadOptions) -> Iterator[Batches]:
    """Open a saved dataset. Raises DataError for a folder of splits, one that is damaged, or files outside of it."""
    if not (path / STATE).is_file():
        splits = ", ".join(str(path / name) for name in _splits(path)) if (path / SPLITS).is_file() else ""
        raise DataError(
            f"{path}: holds several splits: name one in the config, e.g. data.train: one of {splits}."
            if splits
            else f"{path}: is no saved dataset: it has no {STATE}. Expected a folder made by save_to_disk."
        )
    files = _files(path)
    with opened_batches(files[0]) as (schema, _):
        features = _info(path) or features_of(schema, str(path))
    yield Batches(str(path), schema, _batches(files, schema), features)


def splits_of(path: Path) -> Mapping[str, Path]:
    """The folders of train, dev and test in a folder of splits, and of those that are none of these, by their names."""
    if not (path / SPLITS).is_file():
        return {}
    return {split_of(name): path / name for name in _splits(path)}


def _batches(files: list[Path], schema: Any) -> Iterator[Any]:
    for file in files:
        with opened_batches(file) as (found, batches):
            if not found.equals(schema):
                raise DataError(f"{file}: its columns are not those of {files[0]}. Save the dataset again.")
            yield from batches


def _files(path: Path) -> list[Path]:
    """The files of a dataset, in order."""
    state = _read(path / STATE)
    listed = state.get("_data_files") if isinstance(state, Mapping) else None
    names = [one.get("filename") if isinstance(one, Mapping) else None for one in listed or ()]
    if not isinstance(listed, list) or not names or not all(_is_plain(name) for name in names):
        raise DataError(f"{path / STATE}: expected `_data_files`, a list of names of files in this folder.")
    return [path / str(name) for name in names]


def _splits(path: Path) -> list[str]:
    found = _read(path / SPLITS)
    names = found.get("splits") if isinstance(found, Mapping) else None
    if not isinstance(names, list) or not names or not all(_is_plain(name) for name in names):
        raise DataError(f"{path / SPLITS}: expected `splits`, a list of names of folders in this folder.")
    return [str(name) for name in names]


def _info(path: Path) -> Mapping[str, Any]:
    found = _read(path / INFO) if (path / INFO).is_file() else {}
    features = found.get("features") if isinstance(found, Mapping) else None
    return features if isinstance(features, Mapping) else {}


def _read(path: Path) -> Any:
    try:
        with open(path, "rb") as file:
            return plain_json.loads(file.read(plain_json.MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged: {error}. Save the dataset again.") from None


def _is_plain(name: object) -> bool:
    """Whether a name is that of something in the folder itself."""
    return isinstance(name, str) and name == Path(name).name and name not in ("", ".", "..") and "\0" not in name


def _takes(path: Path) -> str:
    if not path.is_dir():
        return ""
    return next(
        (f"{name} of Hugging Face datasets stands in it" for name in (STATE, SPLITS) if (path / name).is_file()), ""
    )


DATASETS = Format(
    doc="a folder of Hugging Face datasets, as save_to_disk makes it",
    suffixes=(),
    open=lambda source, options: ArrowRows(source),
    options=("paths",),
    opened=open_dataset,
    takes=_takes,
    by_line=False,
    splits=splits_of,
)
