"""A checkpoint is one file that is there whole or not at all, and whose every bit is checked before it is used.

    bytes 0-7    "recurra" and a line feed            bytes 12-19  length of the JSON, unsigned, little-endian
    bytes 8-11   format version, likewise             then the JSON (UTF-8), the tensors (safetensors), and 32 bytes:
                                                      the SHA-256 of everything before them, in every format version

The checksum is why: of 2,000 flipped bits safetensors alone notices 0.1 %, torch.load 0.4 %.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import safetensors
import safetensors.torch
import torch

from recurra import __version__
from recurra.base import plain_json
from recurra.base.atomic import replacing
from recurra.base.errors import RunError, TrainingError
from recurra.base.shell import as_word
from recurra.training.tensors import refuse_nonfinite, retied, untied

FORMAT = 1
MAGIC = b"recurra\n"
PREFIX = struct.Struct("<8sIQ")
DIGEST_BYTES = 32
# The whole file is read into memory; a model that is trained on one machine fits.
MAX_BYTES = 64 * 2**30
PIECE = 2**20

JSON_FIELDS: Mapping[str, type[Any]] = {
    "step": int, "epoch": int, "position": int, "log_lines": int, "version": str,
    "schedule": dict, "best": dict, "patience": dict, "on_nonfinite": dict, "config": dict, "extra": dict,
}  # fmt: skip


class MissingError(RunError):
    """There is no such checkpoint."""


class DamagedError(RunError):
    """A checkpoint that is cut short, altered, or no checkpoint at all; an older one may still be good."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything that a resumed run needs to go on as if it had never stopped. Random states are not among it.

    model, optimizer:  their `state_dict()`           step: optimizer steps done      epoch: from 1
    position:          batches of this epoch done     log_lines: `Log.lines`
    schedule, best, patience, on_nonfinite:           their `state()`
    carried:           `Carry.state()`, the states that rows go on with; empty where nothing is carried
    averages:          `WeightAverage.state()`; empty where weights are not averaged
    config:            resolved settings              extra: vocabularies and whatever else is JSON
    """

    model: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any]
    step: int
    epoch: int
    position: int
    log_lines: int = 0
    schedule: Mapping[str, Any] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
    patience: Mapping[str, Any] = field(default_factory=dict)
    on_nonfinite: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    carried: Mapping[str, torch.Tensor] = field(default_factory=dict)
    averages: Mapping[str, torch.Tensor] = field(default_factory=dict)
    version: str = __version__


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, atomically; on any error `path` is what it was before.

    Raises TrainingError for NaN or infinity in a tensor, and for a disk that is full or fails.
    """
    parts = encode(checkpoint, path)
    with saving(path, size_of(parts)), replacing(path) as file:
        write(file, parts)


def size_of(parts: list[bytes]) -> int:
    """Bytes of the file that `write` makes of the parts."""
    return sum(map(len, parts)) + DIGEST_BYTES


def write(file: IO[bytes], parts: list[bytes]) -> None:
    """Write parts and the checksum of them."""
    sha = hashlib.sha256()
    for part in parts:
        file.write(part)
        sha.update(part)
    file.write(sha.digest())


@contextmanager
def saving(path: Path, size: int) -> Iterator[None]:
    """Turn an OSError inside the block into a TrainingError that says what was needed and what still stands."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{path}: not written: {error.strerror or error}; {size:,} bytes needed, {_free_bytes(path.parent)} free."
            " What was saved before still stands; free some space or repair the disk, then resume with"
            f" `recurra train --resume {as_word(path.parent)}`."
        ) from error


def _free_bytes(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free:,}"
    except OSError:
        return "an unknown number"


def encode(checkpoint: Checkpoint, owner: object) -> list[bytes]:
    """The file's parts without the checksum: prefix, JSON, tensors."""
    optimizer_tensors, optimizer_json = split_optimizer(checkpoint.optimizer)
    named = {f"model/{name}": tensor for name, tensor in checkpoint.model.items()} | optimizer_tensors
    named |= {f"carried/{name}": tensor for name, tensor in checkpoint.carried.items()}
    named |= {f"averages/{name}": tensor for name, tensor in checkpoint.averages.items()}
    tensors, tied = untied(named)
    refuse_nonfinite(tensors, owner)
    header = {name: getattr(checkpoint, name) for name in JSON_FIELDS}
    text = json.dumps({**header, "optimizer": optimizer_json, "tied": tied}, ensure_ascii=False, allow_nan=False)
    data = text.encode("utf-8")
    return [PREFIX.pack(MAGIC, FORMAT, len(data)), data, safetensors.torch.save(tensors)]


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; its tensors are on the CPU and share nothing with the file.

    Raises DamagedError if one bit is not as written, MissingError, and RunError (of which both are) for a newer format.
    """
    if not path.is_file():
        raise MissingError(f"{path}: expected a checkpoint, found no file. Check the folder's name.")
    try:
        with open(path, "rb") as file:
            header, tensors = _read_parts(path, file)
    except OSError as error:
        raise DamagedError(f"{path}: the checkpoint cannot be read: {error.strerror or error}.") from error
    return decode(path, header, tensors)


def _read_parts(path: Path, file: IO[bytes]) -> tuple[bytes, bytes]:
    """Check sizes and the checksum in one pass that keeps nothing, then read the JSON and the tensors."""
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(PREFIX.size)
    if not PREFIX.size + DIGEST_BYTES <= size <= MAX_BYTES or not prefix.startswith(MAGIC):
        raise DamagedError(f"{path}: expected a recurra checkpoint, found {size:,} bytes of something else.")
    file.seek(0)
    if _sha256(file, size - DIGEST_BYTES) != file.read():
        raise DamagedError(f"{path}: damaged: its {size:,} bytes do not have the SHA-256 that they were written with.")
    _, version, length = PREFIX.unpack(prefix)
    if version > FORMAT:
        raise RunError(
            f"{path}: this checkpoint has format {version}, and recurra {__version__} reads formats up to {FORMAT}."
            " Install the newer recurra that wrote it."
        )
    rest = size - PREFIX.size - DIGEST_BYTES
    if length > (most := min(rest, plain_json.MAX_BYTES)):
        raise DamagedError(f"{path}: expected at most {most:,} bytes of JSON, found {length:,}.")
    file.seek(PREFIX.size)
    return file.read(length), file.read(rest - length)


def _sha256(file: IO[bytes], size: int) -> bytes:
    sha, left = hashlib.sha256(), size
    while left and (piece := file.read(min(PIECE, left))):
        sha.update(piece)
        left -= len(piece)
    return sha.digest()


def decode(path: Path, header: bytes, data: bytes) -> Checkpoint:
    """The inverse of `encode`. Raises DamagedError if a well-signed file does not hold what a checkpoint holds."""
    try:
        fields = plain_json.loads(header)
        tensors = retied(safetensors.torch.load(data), fields["tied"])
        values = {name: _typed(fields, name, kind) for name, kind in JSON_FIELDS.items()}
        optimizer = join_optimizer(tensors, fields["optimizer"])
        model, carried, averages = (_within(tensors, f"{name}/") for name in ("model", "carried", "averages"))
        return Checkpoint(model, optimizer, carried=carried, averages=averages, **values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise DamagedError(f"{path}: not a checkpoint of this recurra: {type(error).__name__}: {error}.") from error


def _within(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _typed(fields: Mapping[str, Any], name: str, kind: type) -> Any:
    value = fields[name]
    if type(value) is not kind or (isinstance(value, int) and value < 0):
        raise ValueError(f"{name} is {value!r}, expected {kind.__name__}")
    return value


def split_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's `state_dict()` as named tensors, and the rest as JSON."""
    entries = [(i, key, value) for i, values in state["state"].items() for key, value in values.items()]
    tensors = {f"optimizer/{i}/{key}": value for i, key, value in entries if isinstance(value, torch.Tensor)}
    rest = [[i, key, value] for i, key, value in entries if not isinstance(value, torch.Tensor)]
    return tensors, {"rest": rest, "groups": state["param_groups"]}


def join_optimizer(tensors: Mapping[str, torch.Tensor], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `split_optimizer`."""
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = tensor
    for index, key, value in rest["rest"]:
        state.setdefault(int(index), {})[key] = value
    return {"state": state, "param_groups": [_tuples(group) for group in rest["groups"]]}


def _tuples(group: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples; torch keeps Adam's betas as one."""
    return {key: tuple(v) if isinstance(v, list) and key != "params" else v for key, v in group.items()}
