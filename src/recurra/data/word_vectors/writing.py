"""A table to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from recurra.base.atomic import replacing
from recurra.base.errors import ConfigError
from recurra.data.word_vectors.table import WordVectors
from recurra.data.word_vectors.tensors import as_tensors

# By the end of a file's name: its form.
SUFFIXES: Final = {".txt": "text", ".vec": "text", ".bin": "binary", ".safetensors": "safetensors"}


def write_vectors(vectors: WordVectors, path: str | Path) -> None:
    """Write in the form that the name ends with: .txt, .vec (text with a line of sizes), .bin (binary), .safetensors.

    Numbers of the text form have nine digits, so that reading gives the same bits. Raises ConfigError for another name,
    and for a word that a form cannot hold.
    """
    path = Path(path)
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise ConfigError(f"{path}: expected a name that ends with one of {', '.join(SUFFIXES)}.")
    for word in vectors.words:
        if not word or "\n" in word or (form == "binary" and " " in word) or word != word.strip():
            raise ConfigError(f"{path}: the word {word!r} does not fit into the {form} form.")
    with replacing(path) as file:
        for piece in {"text": _text, "binary": _binary, "safetensors": _tensors}[form](vectors):
            file.write(piece)


def _text(vectors: WordVectors) -> Iterator[bytes]:
    yield f"{len(vectors)} {vectors.size}\n".encode()
    for word, row in zip(vectors.words, vectors.matrix.tolist(), strict=True):
        yield f"{word} {' '.join([f'{number:.9g}' for number in row])}\n".encode()


def _binary(vectors: WordVectors) -> Iterator[bytes]:
    yield f"{len(vectors)} {vectors.size}\n".encode()
    for word, row in zip(vectors.words, vectors.matrix.astype("<f4"), strict=True):
        yield word.encode() + b" " + row.tobytes() + b"\n"


def _tensors(vectors: WordVectors) -> Iterator[bytes]:
    yield as_tensors(vectors)
