"""The tensors of a folder: model.safetensors, its shards as model.safetensors.index.json names them, or a checkpoint of
TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from recurra.base.errors import DataError
from recurra.models.published.checkpoint import find_index, read_checkpoint, read_index

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# An index names each tensor in a line of some hundred bytes; the largest published ones have a few thousand.
MAX_BYTES = 2**24
# Of the same weights in other forms; a pickle runs whatever code it holds, so none is opened.
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5")


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, by their names there; of a checkpoint without those of the optimizer.

    Raises DataError, which names the file, if there are none, a shard is missing, or a file is damaged or a pickle.
    """
    if (index := _checkpoint(folder)) is not None:
        return read_checkpoint(index)
    found: dict[str, Tensor] = {}
    for path in _files(folder):
        with _opened(path) as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # it is no dictionary
    return found


def read_names(folder: Path) -> list[str]:
    """The names of all tensors of a folder; of their numbers nothing is read. Raises as `read_tensors` does."""
    if (index := _checkpoint(folder)) is not None:
        return [*read_index(index)[1]]
    found: list[str] = []
    for path in _files(folder):
        with _opened(path) as opened:
            found += opened.keys()
    return found


def _checkpoint(folder: Path) -> Path | None:
    """The index of TensorFlow's checkpoint, where there is one and nothing else."""
    plain = (folder / WHOLE).is_file() or (folder / INDEX).is_file()
    return None if plain else find_index(folder)


def _files(folder: Path) -> list[Path]:
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    index = folder / INDEX
    if index.is_file():
        try:
            shards = {str(name) for name in json.loads(_head(index))["weight_map"].values()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{index}: names no shards ({str(error)[:100]}).") from None
        if wrong := [name for name in sorted(shards) if Path(name).name != name]:
            raise DataError(f"{index}: names {wrong[0]!r:.100}, expected a file beside it.")
        return [folder / name for name in sorted(shards)]
    if other := [name for name in PICKLES if (folder / name).exists()]:
        raise DataError(
            f"{folder / other[0]}: is not read: a pickle can run any code, and other forms have no header to check. "
            "Convert it: load it with transformers and save_pretrained(..., safe_serialization=True)."
        )
    raise DataError(f"{folder}: expected {WHOLE}, or bert_model.ckpt.index with its data; found neither.")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file of tensors. Raises DataError for one that is missing, damaged or a pickle."""
    if not path.is_file():
        raise DataError(f"{path}: is missing, and {INDEX} names it; copy the whole folder again.")
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            yield opened
    except (safetensors.SafetensorError, OSError) as error:
        # Asked afterwards: the length of a header may begin with the same byte.
        if _begins(path) in (b"\x80", b"P"):
            raise DataError(
                f"{path}: is a pickle, expected safetensors; a pickle can run any code and is not read."
            ) from None
        raise DataError(f"{path}: damaged or not a safetensors file: {str(error)[:200]}.") from None


def _head(path: Path) -> bytes:
    """The first 16 MiB: of a file that is larger the JSON is torn, and refused."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)
