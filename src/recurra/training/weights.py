"""model.safetensors of a run folder: plain safetensors for any reader, with a checksum of ours in its metadata."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from recurra import __version__
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


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill the model from a file that has exactly its tensors; a file by another program has no checksum to check.

    Names, shapes and types are compared before a tensor is read, so memory is bounded by the size of the model.
    Raises RunError for a missing or damaged file, for missing, extra, misshaped or mistyped tensors, and for NaN.
    """
    if not path.is_file():
        raise RunError(f"{path}: expected a file of weights, found none. Check the folder's name.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = _read(path, file, model)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: damaged or not a safetensors file: {error}.") from error
    put_weights(model, tensors, path)


def _read(path: Path, file: Any, model: nn.Module) -> dict[str, torch.Tensor]:
    metadata = file.metadata() or {}
    tied = json.loads(metadata.get("tied", "{}"))
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    kinds = {name: (tuple(s.get_shape()), DTYPES[s.get_dtype()]) for name, s in slices.items()}
    refuse_mismatch(model, {**kinds, **{name: kinds[twin] for name, twin in tied.items()}}, path)
    tensors = {name: file.get_tensor(name) for name in slices}
    if "sha256" in metadata and metadata["sha256"] != digest(tensors):
        raise RunError(f"{path}: damaged: its tensors do not have the SHA-256 that they were written with.")
    if broken := [name for name, tensor in tensors.items() if not all_finite(tensor)]:
        raise RunError(f"{path}: expected finite weights, found NaN or infinity in {listed(broken)}. Train again.")
    return retied(tensors, tied)
