"""A writer of TensorFlow's checkpoints, from the description of their format; it shares nothing with the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from published_room import CONFIG, WORDS, Tensors, tensors

DTYPES = {"float32": 1, "float64": 2, "int64": 9, "float16": 19}
# Keys of which the first is spelt whole, and bytes of a block: small, so that a tiny file has several of each.
RESTART, BLOCK = 4, 700


def crc32c(data: bytes) -> int:
    """Bit by bit, as RFC 3720 has it."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def mask(check: int) -> bytes:
    turned = (check >> 15) | (check << 17) & 0xFFFFFFFF
    return ((turned + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def varint(number: int) -> bytes:
    low, rest = number % 128, number // 128
    return bytes([low]) if not rest else bytes([low + 128]) + varint(rest)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number * 8) + varint(value)
    return varint(number * 8 + 2) + varint(len(value)) + value


def entry(array: NDArray[Any], shard: int, offset: int, *, dtype: int | None = None, more: bytes = b"") -> bytes:
    """BundleEntryProto."""
    shape = b"".join(field(2, field(1, size)) for size in array.shape)
    said = field(1, DTYPES[array.dtype.name] if dtype is None else dtype) + field(2, shape)
    said += field(3, shard) * bool(shard) + field(4, offset) * bool(offset) + field(5, array.nbytes)
    return said + varint(6 * 8 + 5) + mask(crc32c(array.tobytes())) + more


def table(pairs: Mapping[str, bytes], *, kind: int = 0) -> bytes:
    """The file of an index. kind: how blocks are packed; 1: with Snappy"""
    out, index, waiting = b"", {}, {}
    for key in sorted(pairs, key=str.encode):
        waiting[key.encode()] = pairs[key]
        if sum(map(len, waiting.values())) > BLOCK or key == max(pairs, key=str.encode):
            index[max(waiting)], out = put(out, block(waiting), kind)
            waiting = {}
    about, out = put(out, block({}), kind)
    where, out = put(out, block(index), kind)
    return out + (about + where).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def put(out: bytes, data: bytes, kind: int) -> tuple[bytes, bytes]:
    """Where a block stands, and the file with it."""
    whole = (snappy(data) if kind == 1 else data) + bytes([kind])
    return varint(len(out)) + varint(len(whole) - 1), out + whole + mask(crc32c(whole))


def block(pairs: Mapping[bytes, bytes]) -> bytes:
    out, before, restarts = b"", b"", []
    for number, (key, value) in enumerate(sorted(pairs.items())):
        shared = 0
        if number % RESTART == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    ends = [*(restarts or [0]), len(restarts or [0])]
    return out + b"".join(number.to_bytes(4, "little") for number in ends)


def snappy(data: bytes) -> bytes:
    """What stood up to 2,000 bytes before as a stretch, all else byte by byte (its format_description.txt)."""
    out, at = varint(len(data)), 0
    while at < len(data):
        length = next((k for k in range(40, 3, -1) if data[at : at + k] in data[max(at - 2000, 0) : at]), 0)
        if length and at + length <= len(data):
            back = at - data.rindex(data[at : at + length], 0, at)
            out += bytes([(length - 1) * 4 + 2]) + back.to_bytes(2, "little")
        else:
            length, out = 1, out + b"\0" + data[at : at + 1]
        at += length
    return out


def named(weights: Tensors) -> Tensors:
    """The weights of a BERT by the names of Google's code, kernels (in, out)."""
    found = {}
    for name, array in weights.items():
        path = re.sub(r"layer\.(\d+)", r"layer_\1", name).replace(".", "/")
        stem, end = path.rsplit("/", 1)
        if stem.endswith("LayerNorm"):
            path = f"{stem}/{'gamma' if end == 'weight' else 'beta'}"
        elif end == "weight" and not stem.endswith("embeddings"):
            path, array = f"{stem}/kernel", np.ascontiguousarray(array.T)
        elif end == "weight":
            path = stem
        found[f"bert/{path}"] = array
    return found


def trained(weights: Tensors) -> Tensors:
    """The same with what Adam kept, and the number of steps."""
    kept = {f"{name}/adam_{which}": array for name, array in weights.items() for which in "mv"}
    return {**weights, **kept, "global_step": np.array(7, np.int64)}


def write(
    folder: Path, arrays: Tensors, *, shards: int = 1, entries: Mapping[str, bytes] | None = None, kind: int = 0
) -> None:
    """bert_model.ckpt.index and its data. entries: in the place of those that are true      kind: 1 compresses"""
    files, pairs = [b""] * shards, {"": field(1, shards) + field(3, field(1, 1))}
    for number, (name, array) in enumerate(sorted(arrays.items())):
        shard = number % shards
        pairs[name] = entry(array, shard, len(files[shard]))
        files[shard] += array.tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bert_model.ckpt.index").write_bytes(table({**pairs, **(entries or {})}, kind=kind))
    for number, data in enumerate(files):
        (folder / f"bert_model.ckpt.data-{number:05}-of-{shards:05}").write_bytes(data)


def folder(path: Path, arrays: Tensors | None = None, **options: Any) -> Path:
    """A BERT as Google published it: the tiny one of `published_room`, by other names."""
    write(path, trained(named(tensors())) if arrays is None else arrays, **options)
    (path / "bert_config.json").write_text(json.dumps({k: v for k, v in CONFIG.items() if k not in LEFT_OUT}))
    (path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return path


LEFT_OUT = ("model_type", "layer_norm_eps")
