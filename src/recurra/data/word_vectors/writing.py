"""A table to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from recurra.base.atomic import replacing
from recurra.base.errors import ConfigError
from recurra.data.word_vectors.subwords import Subwords, as_subwords
from recurra.data.word_vectors.table import WordVectors
from recurra.data.word_vectors.tensors import as_tensors

# By the end of a file's name: its form.
SUFFIXES: Final = {".txt": "text", ".vec": "text", ".bin": "binary", ".safetensors": "safetensors"}


def write_vectors(vectors: WordVectors, path: str | Path) -> None:
    """Write in the form that the name ends with: .txt, .vec (text with a line of sizes), .bin (binary), .safetensors.

    Vectors with n-grams go into a .bin of fastText's form, which has them too.
    Numbers of the text form have nine digits, so that reading gives the same bits. Raises ConfigError for another name,
    and for a word that a form cannot hold.
    """
    path = Path(path)
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise ConfigError(f"{path}: expected a name that ends with one of {', '.join(SUFFIXES)}.")
    if form == "binary" and isinstance(vectors.make, Subwords):
        form = "fasttext"
    for word in vectors.words:
        if not word or "\n" in word or (form in ("binary", "fasttext") and " " in word) or word != word.strip():
            raise ConfigError(f"{path}: the word {word!r} does not fit into the {form} form.")
    with replacing(path) as file:
        for piece in WRITERS[form](vectors):
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


def _subwords(vectors: WordVectors) -> Iterator[bytes]:
    assert isinstance(vectors.make, Subwords)
    return as_subwords(vectors.make)


WRITERS: Final = {"text": _text, "binary": _binary, "safetensors": _tensors, "fasttext": _subwords}
