"""TensorFlow's checkpoints, as Google published BERT: NAME.index says which tensor stands where in files of numbers.

The index is a sorted table as LevelDB has it (its doc/table_format.md): blocks of keys that share beginnings, a block
that says where they are, 48 bytes at the end. Key "" holds BundleHeaderProto, every other the name of a tensor, with
BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto). All that the file says is checked before it is used.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recurra.base.errors import DataError
from recurra.models.published.crc32c import crc32c
from recurra.models.published.snappy import unpacked, varint

# A line of an index is some hundred bytes, and the largest BERTs, with what their optimizer kept, have 1,200.
MAX_INDEX = 2**24
MAX_TENSORS, MAX_NAME, MAX_SHARDS = 100_000, 1024, 10_000
MAX_DIMS, MAX_SIZE = 8, 2**40
FOOTER, MAGIC = 48, 0xDB4775248B80FB57
# Behind each block: how it is packed, and its check.
TRAILER = 5
# By number, of tensorflow/core/framework/types.proto.
DTYPES: Mapping[int, torch.dtype] = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    9: torch.int64,
    14: torch.bfloat16,
    19: torch.float16,
}
# What Adam kept of each weight, and how many steps there were: no part of a model.
OPTIMIZER = re.compile(r"(?:^|/)(?:adam_[mv]|Adam(?:_1)?|global_step|beta[12]_power|_CHECKPOINTABLE_OBJECT_GRAPH)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor stands. dtype: by TensorFlow's number      check: of its bytes, masked      parts: it has some"""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    check: int
    parts: bool


def find_index(folder: Path) -> Path | None:
    """The index of the checkpoint in a folder, None where there is none. Raises DataError for several."""
    found = sorted(folder.glob("*.ckpt*.index"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:3])
        raise DataError(f"{folder}: holds {len(found)} checkpoints ({names}), expected one; move the others away.")
    return found[0] if found else None


def read_checkpoint(index: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names there, without those of its optimizer; kernels are (out, in) here.

    Raises DataError, which names file and tensor, for what is missing, damaged or of a kind that is not known.
    """
    shards, entries = read_index(index)
    return {name: _tensor(index, shards, name, one) for name, one in entries.items() if not OPTIMIZER.search(name)}


def read_index(path: Path) -> tuple[int, dict[str, Entry]]:
    """How many files of numbers there are, and what stands where, by the names of tensors."""
    try:
        if path.stat().st_size > MAX_INDEX:
            raise ValueError(f"it has more than {MAX_INDEX >> 20} MiB")
        return _indexed(path.read_bytes())
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise DataError(f"{path}: damaged or not the index of a TensorFlow checkpoint: {str(error)[:200]}.") from None


def _indexed(data: bytes) -> tuple[int, dict[str, Entry]]:
    header, entries, last = None, {}, None
    for key, value in _pairs(data):
        if last is not None and key <= last:
            raise ValueError(f"its keys are not in order at {key[:60]!r}")
        last = key
        if key:
            entries[key.decode("utf-8")] = _entry(value)
            if len(entries) > MAX_TENSORS:
                raise ValueError(f"it has more than {MAX_TENSORS:,} tensors")
        else:
            header = _message(value)
    if header is None:
        raise ValueError("it has no header")
    if _number(header, 2):
        raise ValueError("its numbers are big-endian, expected little-endian")
    shards = _number(header, 1)
    if not 1 <= shards <= MAX_SHARDS:
        raise ValueError(f"it names {shards} files of numbers, expected 1 to {MAX_SHARDS:,}")
    return shards, entries


# -- the table ---------------------------------------------------------------------------------------------------------


def _pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys with their values, in order."""
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise ValueError("it does not end as such a file does")
    about, at = _handle(data[-FOOTER:], 0)
    where, _ = _handle(data[-FOOTER:], at)
    if [*_block(data, about)]:  # such as filters, which TensorFlow writes none of
        raise ValueError("it has blocks about its blocks, expected none")
    for _, handle in _block(data, where):
        yield from _block(data, _handle(handle, 0)[0])


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = varint(data, at)
    size, at = varint(data, at)
    return (start, size), at


def _block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """The keys of a block, each of which begins as the one before it, with their values."""
    start, size = handle
    if start + size + TRAILER > len(data) - FOOTER:
        raise ValueError(f"a block of {size} bytes at {start} does not fit into it")
    packed, check = struct.unpack_from("<BI", data, start + size)
    if check != masked(crc32c(memoryview(data)[start : start + size + 1])):
        raise ValueError(f"the block at {start} has another check than its bytes; copy the file again")
    if packed not in (0, 1):
        raise ValueError(f"the block at {start} is compressed in way {packed}, expected none or Snappy")
    block = unpacked(data[start : start + size]) if packed else data[start : start + size]
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end, at, key = len(block) - 4 - 4 * restarts, 0, b""
    if end < 0:
        raise ValueError(f"the block at {start} names {restarts} places to begin at, more than fit")
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or shared + own > MAX_NAME or at + own + length > end:
            raise ValueError(f"a key of the block at {start} does not fit into it")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


# -- messages (protobuf) -----------------------------------------------------------------------------------------------


def _entry(data: bytes) -> Entry:
    said = _message(data)
    dims = [_message(dim) for dim in _message(said.get(2, [b""])[-1]).get(2, [])]
    shape = tuple(_number(dim, 1) for dim in dims)
    if len(shape) > MAX_DIMS or any(size > MAX_SIZE for size in shape):
        raise ValueError(f"a tensor has the shape {shape[:MAX_DIMS]}, expected {MAX_DIMS} sizes from 0 on at most")
    dtype, shard, offset, size, check = (_number(said, field) for field in (1, 3, 4, 5, 6))
    return Entry(dtype, shape, shard, offset, size, check, 7 in said)


def _number(message: Mapping[int, Sequence[Any]], field: int) -> int:
    """The number in a field, the last one that stands there; 0 where none does."""
    value = message.get(field, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {field} of a message is no number")
    return value


def _message(data: Any) -> dict[int, list[Any]]:
    """The fields of a message by number: integers, or bytes."""
    if not isinstance(data, bytes):
        raise ValueError("a message is no bytes")
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value: Any
        match tag & 7:
            case 0:
                value, at = varint(data, at)
            case 1:
                (value,), at = struct.unpack_from("<Q", data, at), at + 8
            case 2:
                length, at = varint(data, at)
                if at + length > len(data):
                    raise ValueError("a field ends behind its message")
                value, at = data[at : at + length], at + length
            case 5:
                (value,), at = struct.unpack_from("<I", data, at), at + 4
            case kind:
                raise ValueError(f"a field is of kind {kind}")
        found.setdefault(tag >> 3, []).append(value)
    return found


# -- numbers -----------------------------------------------------------------------------------------------------------


def _tensor(index: Path, shards: int, name: str, entry: Entry) -> Tensor:
    if entry.dtype not in DTYPES:
        raise DataError(
            f"{index}: {name} has numbers of kind {entry.dtype} (DataType of TensorFlow), expected floats or integers."
        )
    if entry.parts:
        raise DataError(f"{index}: {name} is cut into parts, expected whole tensors; save it without a partitioner.")
    dtype, wanted = DTYPES[entry.dtype], math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
    if entry.size != wanted:
        raise DataError(f"{index}: {name} has {entry.size:,} bytes, and its shape {entry.shape} takes {wanted:,}.")
    found = torch.frombuffer(_bytes(index, shards, name, entry), dtype=dtype) if wanted else torch.empty(0, dtype=dtype)
    found = found.reshape(entry.shape)
    return found.t().contiguous() if name.endswith("/kernel") and found.dim() == 2 else found


def _bytes(index: Path, shards: int, name: str, entry: Entry) -> bytearray:
    if entry.shard >= shards:
        raise DataError(f"{index}: {name} stands in file {entry.shard} of numbers, and there are {shards}.")
    path = index.with_name(f"{index.name.removesuffix('.index')}.data-{entry.shard:05}-of-{shards:05}")
    if not path.is_file():
        raise DataError(f"{path}: is missing, and {index.name} names it for {name}; copy the whole folder again.")
    if (there := path.stat().st_size) < entry.offset + entry.size:
        raise DataError(
            f"{path}: has {there:,} bytes, and {name} ends at {entry.offset + entry.size:,}; copy the file again."
        )
    with path.open("rb") as file:
        file.seek(entry.offset)
        found = bytearray(file.read(entry.size))
    if masked(crc32c(memoryview(found))) != entry.check:
        raise DataError(f"{path}: {name} has another check (CRC-32C) than its bytes; copy the file again.")
    return found


def masked(check: int) -> int:
    """A check as such files hold it, so that one of bytes with checks in them is no simple one."""
    return (((check >> 15) | (check << 17)) + 0xA282EAD8) & 0xFFFFFFFF
