"""model.safetensors of a run folder: plain safetensors for any reader, with a checksum of ours in its metadata."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
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


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the model's parameters and buffers, atomically. Raises TrainingError for NaN, infinity or a full disk."""
    tensors, tied = untied(model.state_dict())
    refuse_nonfinite(tensors, path)
    metadata = {"format": "pt", "recurra": __version__, "sha256": digest(tensors), "tied": json.dumps(tied)}
    data = in_order(safetensors.torch.save(tensors, metadata))
    with saving(path, len(data)), replacing(path) as file:
        file.write(data)


def in_order(data: bytes) -> bytes:
    """The same file with sorted metadata: safetensors writes it in a random order, and equal runs make equal files."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # safetensors keeps the tensors aligned to 8 bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: shape and type of each tensor, and for each tied name the one it is tied to."""

    kinds: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    tied: Mapping[str, str]


def check_weights(path: Path, model: nn.Module) -> Header:
    """The header of a file that has exactly the model's tensors; the model may be without memory for its numbers.

    Only the header is read, and no more of it than such a model's can have.
    Raises RunError for a missing or damaged file, and for missing, extra, misshaped or mistyped tensors.
    """
    if not path.is_file():
        raise RunError(f"{path}: expected a file of weights, found none. Check the folder's name.")
    limit = HEADER_BYTES + sum(TENSOR_BYTES + 6 * len(name) for name in model.state_dict())
    try:
        header = _header(path, limit)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: damaged or not a safetensors file: {_brief(error)}.") from None
    refuse_mismatch(model, {**header.kinds, **{n: header.kinds[twin] for n, twin in header.tied.items()}}, path)
    return header


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill the model from a file that has exactly its tensors; a file by another program has no checksum to check.

    Names, shapes and types are compared before a tensor is read, so memory is bounded by the size of the model.
    Raises RunError for a missing or damaged file, for missing, extra, misshaped or mistyped tensors, and for NaN.
    """
    header = check_weights(path, model)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = _read(path, file, header)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: damaged or not a safetensors file: {error}.") from error
    put_weights(model, tensors, path)


def _read(path: Path, file: Any, header: Header) -> dict[str, torch.Tensor]:
    metadata = file.metadata() or {}
    tensors = {name: file.get_tensor(name) for name in header.kinds}
    if "sha256" in metadata and metadata["sha256"] != digest(tensors):
        raise RunError(f"{path}: damaged: its tensors do not have the SHA-256 that they were written with.")
    if broken := [name for name, tensor in tensors.items() if not all_finite(tensor)]:
        raise RunError(f"{path}: expected finite weights, found NaN or infinity in {listed(broken)}. Train again.")
    return retied(tensors, header.tied)


def _header(path: Path, limit: int) -> Header:
    """Read and check a header of at most `limit` bytes. Raises ValueError, KeyError, TypeError or AttributeError."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or length > size - 8:
            raise ValueError(f"its {size:,} bytes are too few for a header of {length:,}")
        if length > limit:
            raise ValueError(f"its header has {length:,} bytes, expected at most {limit:,} for this model")
        tree = plain_json.loads(file.read(length))
    metadata = tree.pop("__metadata__", {})
    tied = plain_json.loads(metadata.get("tied", "{}").encode())
    kinds = {name: (tuple(map(_natural, t["shape"])), DTYPES[t["dtype"]]) for name, t in tree.items()}
    ends = [_natural(end) for _, end in (t["data_offsets"] for t in tree.values())]
    if max(ends, default=0) != size - 8 - length:
        raise ValueError(f"its tensors end at byte {max(ends, default=0):,}, and there are {size - 8 - length:,}")
    if wrong := [name for name, twin in tied.items() if name in kinds or twin not in kinds]:
        raise ValueError(f"{listed(wrong)} cannot be tied")
    return Header(kinds, tied)


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is no size")
    return value


def _brief(error: Exception) -> str:
    return f"{str(error)[:100]} is not known" if isinstance(error, KeyError) else str(error)[:300]
