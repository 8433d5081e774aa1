"""Compress: rows as their codes, rounded to a few bits, in a file that only the same run can read; and back.

A file is 8 bytes of MAGIC, the length of a header (4 bytes, little-endian), the header as JSON, the least and the
largest of each of the Z numbers of a code (2 Z float32), the steps of each row where these are series (N uint32), N Z
numbers of b bits one behind the other, and the SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.api.answers import Source
from recurra.api.callbacks import NoCallback
from recurra.api.coding import MOST_ROWS, CodedRows, coder_of, examples_for, records_for, refuse_large
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, Row, path_of
from recurra.api.prepare import prepare
from recurra.base.atomic import replacing
from recurra.base.contracts import Callback
from recurra.base.errors import ConfigError, DataError, RecurraError, RunError
from recurra.tasks import Coder, LinearCodes

Floats = NDArray[np.float32]
MAGIC = b"RECODES1"
MOST_BITS, BITS = 24, 8
# Bytes of a header, and numbers of all codes of a file together.
MOST_HEADER, MOST_NUMBERS = 4096, 1 << 28
DIGEST = 32
# Numbers that are packed at once, a multiple of 8.
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Compressed:
    """Rows as a file, and what that costs.

    content: of the file      rows, numbers: how many rows, and known numbers of all of them
    bits: of each number of a code
    error: mean squared error of what comes back, in scaled units      unrounded: the same of codes as they were
    pca: the same of principal components with as many numbers, at as many bits; None where they are not known
    """

    content: bytes
    rows: int
    numbers: int
    bits: int
    error: float
    unrounded: float
    pca: float | None

    @property
    def bits_a_value(self) -> float:
        """Bits of the whole file for each number of the rows."""
        return 8 * len(self.content) / self.numbers


@in_float32
def compress(
    run: AnyPath | OpenRun,
    rows: AnyPath | Source | Iterable[Row],
    output: AnyPath | None = None,
    *,
    bits: int | None = None,
    error: float | None = None,
    beside: bool = True,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Callback | None = None,
) -> Compressed:
    """Rows as codes whose numbers have `bits` bits each, evenly between the least and the largest of these rows.

    output: the file      bits: 1 to 24 (8)      error: in place of bits, the fewest with at most this error
    beside: PCA of the run's training rows beside it, which reads its training data again
    Raises ConfigError for a run without codes, or an error that no number of bits reaches.
    """
    trained, watch = opened(run, cells), watch or NoCallback()
    if bits is not None and error is not None:
        raise ConfigError("bits, error: give one of them; the other follows.")
    if bits is not None and (type(bits) is not int or not 1 <= bits <= MOST_BITS):
        raise ConfigError(f"bits: expected a whole number from 1 to {MOST_BITS}, got {bits!r}.")
    coder = coder_of(trained, device)
    examples = examples_for(trained, records_for(trained, rows))
    lengths = [example.length for example in examples]
    refuse_large(lengths, coder.width, name="rows")
    truth, codes = coder.rows(examples), coder.codes(examples)
    if codes.size > MOST_NUMBERS:
        raise DataError(
            f"rows: have {codes.size:,} numbers in their codes, expected at most {MOST_NUMBERS:,} in a file."
        )
    whole = _error(truth, coder.values(codes, lengths))
    chosen = _fewest(coder, codes, truth, error, whole) if error is not None else BITS if bits is None else bits
    content = _packed(codes, chosen, digest_of_run(trained), lengths if coder.steps > 1 else None)
    found = _error_at(coder, codes, truth, chosen)
    pca = _pca(trained, coder, examples, truth, chosen, watch) if beside else None
    if output is not None:
        with replacing(path_of(output, "output")) as file:
            file.write(content)
    return Compressed(content, len(codes), sum(int((~np.isnan(row)).sum()) for row in truth), chosen, found, whole, pca)


@in_float32
def decompress(
    run: AnyPath | OpenRun,
    file: AnyPath | bytes,
    *,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    most: int = MOST_ROWS,
    most_steps: int | None = None,
) -> CodedRows:
    """The rows of a file that `compress` wrote with the same run. most: rows      most_steps: of all rows together

    What a file tells of is held against these, and what a call may say, before any code is read: a few bytes can tell
    of rows that fill the memory, and a checksum is anybody's to write.
    Raises DataError for what is no such file, damaged or too large; RunError for one of another run.
    """
    trained = opened(run, cells)
    coder = coder_of(trained, device)
    name, content = ("data", file) if isinstance(file, bytes) else _read(path_of(file, "file"))
    data, said = _opened_file(content, name, digest_of_run(trained), coder, str(trained.folder.path))
    if said["rows"] > most:
        raise DataError(f"{name}: holds {said['rows']:,} rows, expected at most {most:,}.")
    lengths, start = _lengths(data, said["rows"], name, coder)
    refuse_large(lengths, coder.width, name=name, most_steps=most_steps)
    codes = _codes(data, start, said["rows"], said["bits"], name, coder.code_size)
    values = coder.values(codes, lengths)
    return CodedRows(coder.by_column(values), codes, coder.pictures(values))


def digest_of_run(run: OpenRun) -> bytes:
    """Of its weights as they are in memory, of what it has learned to read by, and of how its model is made."""
    sha = hashlib.sha256()
    for name, tensor in sorted(run.model.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    tree = run.settings.tree
    sha.update(json.dumps([run.task.to_json(), tree["task"], tree["model"]], sort_keys=True, default=str).encode())
    return sha.digest()


def _fewest(coder: Coder, codes: Floats, truth: Sequence[Floats], error: float, whole: float) -> int:
    """Bits with at most this error. Raises ConfigError where codes that are not rounded have more."""
    for bits in range(1, MOST_BITS + 1):
        if _error_at(coder, codes, truth, bits) <= error:
            return bits
    raise ConfigError(
        f"error: {error:g} is not reached: these codes have {whole:.4g} before they are rounded. Allow more, or train "
        "with a larger task.code_size."
    )


def _error_at(linear: LinearCodes, codes: Floats, truth: Sequence[Floats], bits: int) -> float:
    """The error of rows from codes that are rounded to so many bits."""
    return _error(truth, linear.values(_rounded(codes, bits), [len(row) for row in truth]))


def _error(truth: Sequence[Floats], said: Sequence[Floats]) -> float:
    """Mean squared, of all numbers that are known."""
    away = np.concatenate([(a.astype(np.float64) - b).reshape(-1) ** 2 for a, b in zip(said, truth, strict=True)])
    there = ~np.isnan(away)
    return float(away[there].mean()) if there.any() else 0.0


def _pca(
    run: OpenRun, coder: Coder, examples: Sequence[Any], truth: Sequence[Floats], bits: int, watch: Callback
) -> float | None:
    """The error of principal components of the training rows; None, said, where there are none."""
    try:
        linear = coder.linear(prepare(run.settings, NoCallback(), task=run.task).splits["train"])
        return _error_at(linear, linear.codes(examples), truth, bits)
    except (RecurraError, OSError) as problem:
        watch.note(f"PCA does not stand beside: {problem}")
        return None


# -- the file ----------------------------------------------------------------------------------------------------------


def _ends(codes: Floats) -> tuple[Floats, Floats]:
    return codes.min(0), codes.max(0)


def _levels(codes: Floats, low: Floats, high: Floats, bits: int) -> NDArray[np.uint32]:
    """(N, Z) numbers from 0 to 2^bits - 1, evenly from the least to the largest; 0 where all are the same."""
    span = high.astype(np.float64) - low
    share = (codes - low.astype(np.float64)) / np.where(span > 0, span, 1.0)
    found: NDArray[np.uint32] = np.round(share * (2**bits - 1)).astype(np.uint32)
    return found


def _of_levels(levels: NDArray[np.uint32], low: Floats, high: Floats, bits: int) -> Floats:
    found: Floats = (low + levels / (2**bits - 1) * (high.astype(np.float64) - low)).astype(np.float32)
    return found


def _rounded(codes: Floats, bits: int) -> Floats:
    low, high = _ends(codes)
    return _of_levels(_levels(codes, low, high, bits), low, high, bits)


def _packed(codes: Floats, bits: int, run: bytes, lengths: Sequence[int] | None) -> bytes:
    low, high = _ends(codes)
    said = {"run": run.hex(), "rows": len(codes), "code_size": codes.shape[1], "bits": bits}
    header = json.dumps(said, separators=(",", ":")).encode()
    levels = _levels(codes, low, high, bits).reshape(-1)
    parts = [
        MAGIC,
        len(header).to_bytes(4, "little"),
        header,
        low.astype("<f4").tobytes(),
        high.astype("<f4").tobytes(),
        b"" if lengths is None else np.array(lengths, "<u4").tobytes(),
        *(_bits_of(levels[k : k + BLOCK], bits) for k in range(0, len(levels), BLOCK)),
    ]
    content = b"".join(parts)
    return content + hashlib.sha256(content).digest()


def _bits_of(levels: NDArray[np.uint32], bits: int) -> bytes:
    places = np.arange(bits - 1, -1, -1, dtype=np.uint32)
    return np.packbits(((levels[:, None] >> places) & 1).astype(np.uint8)).tobytes()


def _from_bits(data: bytes, number: int, bits: int) -> NDArray[np.uint32]:
    places = np.uint32(1) << np.arange(bits - 1, -1, -1, dtype=np.uint32)
    single = np.unpackbits(np.frombuffer(data, np.uint8), count=number * bits).reshape(number, bits)
    found: NDArray[np.uint32] = (single * places).sum(1, dtype=np.uint32)
    return found


def _read(path: Path) -> tuple[str, bytes]:
    most = MOST_NUMBERS * MOST_BITS // 8 + MOST_HEADER + (1 << 20)
    if path.is_dir():
        raise DataError(f"{path}: is a folder, expected a file that compress has written.")
    if (size := path.stat().st_size) > most:
        raise DataError(f"{path}: has {size:,} bytes, expected at most {most:,} of a file that compress has written.")
    return str(path), path.read_bytes()


def _opened_file(content: bytes, name: str, run: bytes, coder: Coder, folder: str) -> tuple[bytes, dict[str, Any]]:
    """What stands behind the header of a file, and the header.

    Raises DataError for what is none, or damaged; RunError for one of another run.
    """
    if not content.startswith(MAGIC):
        raise DataError(f"{name}: is no file that compress has written: it does not begin with {MAGIC.decode()}.")
    body, digest = content[:-DIGEST], content[-DIGEST:]
    if len(content) < len(MAGIC) + 4 + DIGEST or hashlib.sha256(body).digest() != digest:
        raise DataError(f"{name}: is damaged or cut: its checksum does not fit. Copy it again.")
    start = len(MAGIC) + 4
    length = int.from_bytes(body[len(MAGIC) : start], "little")
    if length > MOST_HEADER:
        raise DataError(f"{name}: its header has {length:,} bytes, expected at most {MOST_HEADER:,}.")
    said = _header(body[start : start + length], name)
    if said["run"] != run.hex():
        raise RunError(
            f"{name}: was compressed by another run than {folder} (or by this one before it was trained on); only "
            "the same weights can read its codes. Give the run that wrote it."
        )
    rows, bits, data = said["rows"], said["bits"], body[start + length :]
    code_size = coder.code_size
    begin = 8 * code_size + (4 * rows if coder.steps > 1 else 0)
    needed = begin + -(-rows * code_size * bits // 8)
    if said["code_size"] != code_size or len(data) != needed:
        raise DataError(f"{name}: holds {len(data):,} bytes of codes, and its header tells of {needed:,}.")
    return data, said


def _lengths(data: bytes, rows: int, name: str, coder: Coder) -> tuple[list[int], int]:
    """Steps of each row, and where its codes begin. Raises DataError for a row without a step."""
    begin = 8 * coder.code_size
    if coder.steps == 1:
        return [1] * rows, begin
    lengths = np.frombuffer(data, "<u4", rows, begin).tolist()
    if min(lengths) < 1:
        raise DataError(f"{name}: holds a row of no steps, which cannot be.")
    return lengths, begin + 4 * rows


def _codes(data: bytes, begin: int, rows: int, bits: int, name: str, code_size: int) -> Floats:
    """(N, Z) codes of a file. Raises DataError for ends that are no numbers."""
    low, high = (np.frombuffer(data, "<f4", code_size, k * 4 * code_size).astype(np.float32) for k in (0, 1))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise DataError(f"{name}: the ends of its codes are no finite numbers.")
    packed, total, size = data[begin:], rows * code_size, BLOCK * bits // 8
    parts = [
        _from_bits(packed[k * size : (k + 1) * size], min(BLOCK, total - k * BLOCK), bits)
        for k in range(-(-total // BLOCK))
    ]
    return _of_levels(np.concatenate(parts).reshape(rows, code_size), low, high, bits)


def _header(data: bytes, name: str) -> dict[str, Any]:
    """Raises DataError for a header that compress does not write."""
    try:
        said = json.loads(data)
        rows, bits, size = (said[key] for key in ("rows", "bits", "code_size"))
        good = all(type(one) is int for one in (rows, bits, size)) and isinstance(said["run"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{name}: its header is none that compress writes.") from None
    if not (good and 1 <= rows <= MOST_ROWS and 1 <= bits <= MOST_BITS and size >= 1 and rows * size <= MOST_NUMBERS):
        raise DataError(f"{name}: its header tells of {rows!r:.20} rows at {bits!r:.20} bits, which cannot be.")
    found: dict[str, Any] = said
    return found
