"""The inputs of models as ONNX: what a file reads, and x (T, N, I) with lengths from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import clean, write
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.parts import Named, padding, random_lengths, random_numbers, table_size
from recurra.export.transformers import word_pieces
from recurra.export.wide import ask_ngrams, counted
from recurra.models.inputs import INPUTS, BagOfNGrams, Characters, Tokens, Vectors, WordPieces, WordsAndCharacters


@dataclass(frozen=True, slots=True)
class Read:
    """x, lengths: as values      ask: (random numbers, N, T) -> inputs of a batch, by the model's names"""

    x: Value
    lengths: Value
    ask: Callable[[np.random.Generator, int, int], Named]


Names = Mapping[str, str]


def read(draw: Drawing, inputs: nn.Module, names: Names) -> Read:
    """Draw a model's inputs. names: of the file's inputs, where they are not the model's.

    Raises ConfigError for inputs that are not known.
    """
    writer = WRITERS.get(type(inputs))
    if writer is None:
        known = ", ".join(word for word in INPUTS if INPUTS[word] in set[object](WRITERS))
        raise ConfigError(f"export: there is no way to write inputs {type(inputs).__name__} as ONNX; {known} have one.")
    return writer(draw, inputs, names)


def _tokens(draw: Drawing, inputs: Tokens, names: Names) -> Read:
    tokens = draw.input(names.get("tokens", "tokens"), np.int64, ("T", "N"))
    lengths = draw.input(names.get("lengths", "lengths"), np.int64, ("N",))
    known = table_size(inputs.embedding)

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return {"tokens": random.integers(0, known, (T, N)), "lengths": random_lengths(random, N, T)}

    return Read(write(draw, inputs.embedding, clean(draw, tokens, lengths)), lengths, ask)


def _word_pieces(draw: Drawing, inputs: WordPieces, names: Names) -> Read:
    tokens = draw.input(names.get("tokens", "tokens"), np.int64, ("T", "N"))
    lengths = draw.input(names.get("lengths", "lengths"), np.int64, ("N",))
    known = inputs.words.num_embeddings + 4  # numbers of a vocabulary begin with four that no piece has

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        T = min(T, inputs.longest)
        return {"tokens": random.integers(0, known, (T, N)), "lengths": random_lengths(random, N, T)}

    return Read(word_pieces(draw, inputs, clean(draw, tokens, lengths)), lengths, ask)


def _words(draw: Drawing, inputs: WordsAndCharacters, names: Names) -> Read:
    words = draw.input(names.get("words", "words"), np.int64, ("T", "N"))
    lengths = draw.input(names.get("lengths", "lengths"), np.int64, ("N",))
    vectors = [write(draw, inputs.embedding, clean(draw, words, lengths))]
    if inputs.characters is not None:
        letters = draw.input("characters", np.int64, ("C", "T", "N"))
        each = draw.input("character_lengths", np.int64, ("T", "N"))
        vectors.append(write(draw, inputs.characters, letters, clean(draw, each, lengths)))
    if inputs.patterns is not None:
        patterns = draw.input("patterns", np.int64, ("T", "N"))
        vectors.append(write(draw, inputs.patterns, clean(draw, patterns, lengths)))
    if inputs.dictionary:
        vectors.append(draw.input("dictionary", np.float32, ("T", "N", inputs.dictionary)))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        long = random_lengths(random, N, T)
        found = {"words": random.integers(0, table_size(inputs.embedding), (T, N)), "lengths": long}
        if inputs.characters is not None:
            C, known = int(random.integers(1, 9)), table_size(inputs.characters.embedding)
            found["characters"] = random.integers(0, known, (C, T, N))
            found["character_lengths"] = random.integers(0, C + 1, (T, N))
        if inputs.patterns is not None:
            found["patterns"] = random.integers(0, table_size(inputs.patterns), (T, N))
        if inputs.dictionary:
            found["dictionary"] = random_numbers(random, T, N, inputs.dictionary)
            found["dictionary"][padding(long, T)] = np.nan
        return found

    return Read(draw.join(vectors, 2), lengths, ask)


def _characters(draw: Drawing, inputs: Characters, names: Names) -> Read:
    letters = draw.input("characters", np.int64, ("C", "T", "N"))
    each = draw.input("character_lengths", np.int64, ("T", "N"))
    lengths = draw.input(names.get("lengths", "lengths"), np.int64, ("N",))
    known = table_size(inputs.letters.embedding)

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        C = int(random.integers(1, 9))
        found = {
            "characters": random.integers(0, known, (C, T, N)),
            "character_lengths": random.integers(0, C + 1, (T, N)),
        }
        return {**found, "lengths": random_lengths(random, N, T)}

    return Read(write(draw, inputs.letters, letters, clean(draw, each, lengths)), lengths, ask)


def _vectors(draw: Drawing, inputs: Vectors, names: Names) -> Read:
    size = inputs.output_size
    features = draw.input(names.get("features", "features"), np.float32, ("T", "N", size))
    lengths = draw.input(names.get("lengths", "lengths"), np.int64, ("N",))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        long, numbers = random_lengths(random, N, T), random_numbers(random, T, N, size)
        numbers[padding(long, T)] = np.nan
        return {"features": numbers, "lengths": long}

    return Read(features, lengths, ask)


def _bag(draw: Drawing, inputs: BagOfNGrams, names: Names) -> Read:
    """One step, however long the text is: its lengths are read, as every file has them, and change nothing."""
    ids, x = counted(draw, inputs)
    each = draw.put("Mul", draw.put("Gather", draw.weight(inputs.vectors, "ngrams"), ids, axis=0), draw.spread(x, 2))
    lengths = draw.input(names.get("lengths", "lengths"), np.int64, ("N",))
    one = draw.put("Add", draw.put("Mul", lengths, draw.constant(0, np.int64)), draw.constant(1, np.int64))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return ask_ngrams(random, N, len(inputs.scale)) | {"lengths": random_lengths(random, N, T)}

    return Read(draw.put("ReduceSum", each, draw.integers(0), keepdims=1), one, ask)


# The type of a model's inputs -> what draws them
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, Names], Read]] = {
    Tokens: _tokens,
    WordsAndCharacters: _words,
    Characters: _characters,
    Vectors: _vectors,
    WordPieces: _word_pieces,
    BagOfNGrams: _bag,
}
