"""recurra's own form: one file of safetensors, mapped into memory, with the words as UTF-8 beside the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from recurra.base.errors import DataError
from recurra.data.word_vectors.collected import Collected
from recurra.data.word_vectors.table import Array, WordVectors

VECTORS, WORDS = "vectors", "words"


def read_tensors(path: Path, collected: Collected) -> WordVectors:
    """Raises DataError for a file without `vectors` (V, d) float32 and `words`, or with another number of words."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if not {VECTORS, WORDS} <= names:
                raise DataError(
                    f"{path}: expected tensors '{VECTORS}' and '{WORDS}', found {', '.join(sorted(names))}."
                )
            matrix, text = file.get_tensor(VECTORS), file.get_tensor(WORDS)
    except SafetensorError as error:
        raise DataError(f"{path}: is no whole file of safetensors ({error}).") from None
    words = _words(text, path)
    if matrix.ndim != 2 or matrix.dtype != np.float32 or len(words) != len(matrix):
        kind = f"{matrix.dtype} {tuple(matrix.shape)}"
        raise DataError(f"{path}: '{VECTORS}' is {kind}; expected float32 ({len(words):,}, d), a row for each word.")
    for word in words[: collected.top]:
        if not collected.take(word):
            raise DataError(f"{path}: the word '{word}' stands there twice.")
    matrix = matrix[: collected.top]
    if not collected.checked(matrix).all():
        raise DataError(f"{path}: holds numbers that are not finite.")
    return WordVectors(collected.words, matrix, source=str(path))


def _words(text: Array, path: Path) -> list[str]:
    try:
        return text.astype(np.uint8).tobytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: '{WORDS}' is not UTF-8 ({error}).") from None


def as_tensors(vectors: WordVectors) -> bytes:
    """The bytes of such a file."""
    words = np.frombuffer("\n".join(vectors.words).encode(), np.uint8)
    return save({VECTORS: np.ascontiguousarray(vectors.matrix), WORDS: words})
