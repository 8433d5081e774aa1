"""model.safetensors of a run folder: plain safetensors for any reader, with a checksum of ours in its metadata."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import nn

from recurra import __version__
from recurra.base import plain_json
from recurra.base.atomic import replacing
from recurra.base.errors import RunError
from recurra.training.checkpoint import saving
from recurra.training.tensors import (
    all_finite,
    digest,
    listed,
    put_weights,
    refuse_mismatch,
    refuse_nonfinite,
    retied,
    untied,
)

# safetensors' names for types, of those that a model's state can have.
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip

# A header has some metadata, and for each tensor its name (a character may take 6 bytes), type, shape and offsets.
HEADER_BYTES, TENSOR_BYTES = 2**20, 512


def save_weights(path: Path, model: nn.Module, *, step: int | None = None) -> None:
    """Write the model's parameters and buffers, atomically. Raises TrainingError for NaN, infinity or a full disk.

    step: the optimizer step that the weights are from; `step_of` reads it back
    """
    tensors, tied = untied(model.state_dict())
    refuse_nonfinite(tensors, path)
    metadata = {"format": "pt", "recurra": __version__, "sha256": digest(tensors), "tied": json.dumps(tied)}
    metadata |= {} if step is None else {"step": str(step)}
    data = in_order(safetensors.torch.save(tensors, metadata))
    with saving(path, len(data)), replacing(path) as file:
        file.write(data)


def step_of(path: Path) -> int | None:
    """The step that the weights of a file are from; None if it does not say, or is not there or damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get("step", "")
    except (safetensors.SafetensorError, OSError):
        return None
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None


def in_order(data: bytes) -> bytes:
    """The same file with sorted metadata: safetensors writes it in a random order, and equal runs make equal files."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # safetensors keeps the tensors aligned to 8 bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file: its bytes are [start, end) of those after the header."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: its tensors, and for each tied name the one it is tied to. begin: of their bytes"""

    tensors: Mapping[str, Stored]
    tied: Mapping[str, str]
    sha256: str | None
    begin: int


def check_weights(path: Path, model: nn.Module) -> None:
    """See that a file has exactly the model's tensors; the model may be without memory for its numbers.

    Only the header is read, and no more of it than such a model's can have.
    Raises RunError for a missing or damaged file, and for missing, extra, misshaped or mistyped tensors.
    """
    with reading(path) as file:
        _fitting_header(path, file, model)


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill the model from a file that has exactly its tensors; a file by another program has no checksum to check.

    Names, shapes and types are compared before a tensor is read, so memory is bounded by the size of the model.
    Raises RunError for a missing or damaged file, for missing, extra, misshaped or mistyped tensors, and for NaN.
    """
    with reading(path) as file:
        header = _fitting_header(path, file, model)
        tensors = {name: read_tensor(file, header, name) for name in header.tensors}
    if header.sha256 is not None and header.sha256 != digest(tensors):
        raise RunError(f"{path}: damaged: its tensors do not have the SHA-256 that they were written with.")
    if broken := [name for name, tensor in tensors.items() if not all_finite(tensor)]:
        raise RunError(f"{path}: expected finite weights, found NaN or infinity in {listed(broken)}. Train again.")
    put_weights(model, retied(tensors, header.tied), path)


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """A safetensors file, opened once: whoever replaces it meanwhile leaves the opened one as it is, whole.

    Raises RunError if there is none, or for what goes wrong inside the block because it is damaged.
    """
    if not path.is_file():  # nor a pipe, which would wait for ever
        raise RunError(f"{path}: expected a file of weights, found none. Check the folder's name.")
    try:
        with open(path, "rb") as file:
            yield file
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RunError(f"{path}: damaged or not a safetensors file: {_brief(error)}.") from None


def read_header(file: BinaryIO, limit: int) -> Header:
    """Read and check a header of at most `limit` bytes. Raises ValueError, KeyError, TypeError or AttributeError."""
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > size - 8:
        raise ValueError(f"its {size:,} bytes are too few for a header of {length:,}")
    if length > limit:
        raise ValueError(f"its header has {length:,} bytes, expected at most {limit:,} for this model")
    tree = plain_json.loads(file.read(length))
    metadata = tree.pop("__metadata__", {}) if isinstance(tree, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its header is no map of tensors, whose __metadata__ is a map of texts")
    tied = plain_json.loads(metadata.get("tied", "{}").encode())
    tensors = {name: _stored(name, told) for name, told in tree.items()}
    _refuse_gaps(tensors, size - 8 - length)
    if wrong := [name for name, twin in tied.items() if name in tensors or twin not in tensors]:
        raise ValueError(f"{listed(wrong)} cannot be tied")
    return Header(tensors, tied, metadata.get("sha256"), 8 + length)


def read_tensor(file: BinaryIO, header: Header, name: str) -> torch.Tensor:
    """One tensor in memory of its own. Raises ValueError if the file has become shorter."""
    stored = header.tensors[name]
    data = bytearray(stored.end - stored.start)
    file.seek(header.begin + stored.start)
    if file.readinto(data) != len(data):  # type: ignore[attr-defined]  # a BufferedReader: open(..., "rb")
        raise ValueError(f"it ends within '{name}'")
    if not data:
        return torch.empty(stored.shape, dtype=stored.dtype, device="cpu")
    return torch.frombuffer(data, dtype=stored.dtype).view(stored.shape)


def _fitting_header(path: Path, file: BinaryIO, model: nn.Module) -> Header:
    """The header of a file that has the model's tensors, and no others."""
    header = read_header(file, HEADER_BYTES + sum(TENSOR_BYTES + 6 * len(name) for name in model.state_dict()))
    kinds = {name: (stored.shape, stored.dtype) for name, stored in header.tensors.items()}
    refuse_mismatch(model, {**kinds, **{name: kinds[twin] for name, twin in header.tied.items()}}, path)
    return header


def _stored(name: str, told: Mapping[str, Any]) -> Stored:
    """Raises ValueError unless the tensor has as many bytes as its shape needs."""
    shape, dtype = tuple(map(_natural, told["shape"])), DTYPES[told["dtype"]]
    start, end = map(_natural, told["data_offsets"])
    if end - start != (needed := math.prod(shape) * dtype.itemsize):
        raise ValueError(f"{name!r:.100} has {end - start:,} bytes, expected {needed:,}")
    return Stored(shape, dtype, start, end)


def _refuse_gaps(tensors: Mapping[str, Stored], size: int) -> None:
    """Raise ValueError unless the tensors lie one after another, from the first byte to the last."""
    at = 0
    for stored in sorted(tensors.values(), key=lambda t: (t.start, t.end)):
        if stored.start != at:
            raise ValueError(f"a tensor begins at byte {stored.start:,}, expected {at:,}")
        at = stored.end
    if at != size:
        raise ValueError(f"its tensors end at byte {at:,}, and there are {size:,}")


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is no size")
    return value


def _brief(error: Exception) -> str:
    return f"{str(error)[:100]} is not known" if isinstance(error, KeyError) else str(error)[:300]
