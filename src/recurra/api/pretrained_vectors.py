"""A model whose inputs begin with vectors of words from a file: GloVe's, word2vec's, fastText's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import Parameter

from recurra.api.options import TrainingOptions
from recurra.api.word_vectors import vectors
from recurra.base.contracts import Listener
from recurra.base.errors import ConfigError, DataError
from recurra.data.preparing import ExtraWords
from recurra.data.tokenizers import Vocabulary
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.data.word_vectors import WordVectors
from recurra.models import SequenceModel
from recurra.tasks import Embeds, Task

# How many words of a file that fits badly are shown.
SHOWN = 3


def load_vectors(options: TrainingOptions, model: nn.Module, task: Task, watch: Listener) -> None:
    """Put the vectors of a file into the table of a model's inputs, in place, and say how many words have one.

    A word that the file lacks as it is written is looked up in lower case, as many files have no other; then, of a file
    of fastText's, it is made from its pieces.
    Raises ConfigError where the two do not fit, DataError for a file that cannot be read.
    """
    if options.init_vectors is None:
        return
    where = f"training.init_vectors: {options.init_vectors}"
    table = table_of(model)
    if table is None or not isinstance(task, Embeds):
        raise ConfigError(f"{where}: the inputs of this model have no table of vectors; leave it out.")
    found = vectors(options.init_vectors, note=watch.note)
    if found.size != table.shape[1]:
        raise ConfigError(
            f"{where}: has vectors of {found.size} numbers; set model.inputs.embedding_size: {found.size}."
        )
    numbers, rows, lower = _matched(task.vocabulary, found)
    if not numbers:
        few = ", ".join(map(repr, found.words[:SHOWN]))
        raise ConfigError(
            f"{where}: has none of the {len(task.vocabulary) - len(SPECIALS):,} tokens; its own are such as {few}."
        )
    with torch.no_grad():
        taken = torch.from_numpy(np.array(rows, np.float32)).to(table.device)
        words = table[len(SPECIALS) :]
        begun = words.clone() if options.init_added else 0.0
        if options.init_added or options.init_missing != "random":
            words[:] = taken.mean(0) if options.init_missing == "mean" else 0.0
        table[torch.tensor(numbers, dtype=torch.int64, device=table.device)] = taken
        words += begun
    all_of = len(task.vocabulary) - len(SPECIALS)
    watch.note(
        f"{where}: {len(numbers):,} of {all_of:,} words ({len(numbers) / all_of:.1%}) have their vector from there, "
        f"{lower:,} of them by their lower case; the rest begin with {_RESTS[options.init_missing]}."
    )


def extra_words(options: TrainingOptions) -> ExtraWords:
    """The first words of a file of vectors, as many as is asked for. Raises DataError for one that cannot be read."""
    if options.init_vectors is None or not options.init_words:
        return ExtraWords()
    return ExtraWords(vectors(options.init_vectors, top=options.init_words).words)


def refuse_untaken(extra: ExtraWords, options: TrainingOptions) -> None:
    """Raise ConfigError if words were to join a vocabulary, and the task has none for them, or reads none of them."""
    if extra.words and extra.taken is None:
        raise ConfigError(
            f"training.init_words: {options.init_words:,} words cannot join, as this task's vocabulary is no list of "
            "words that are only read; leave it out."
        )
    if extra.words and not extra.taken:
        few = ", ".join(map(repr, extra.words[:SHOWN]))
        raise ConfigError(
            f"training.init_words: none of the first {len(extra.words):,} words of {options.init_vectors} joins the "
            f"vocabulary, as none is one token that is spelt so; they are such as {few}. Choose another "
            "task.tokenizer, or leave it out."
        )


_RESTS = {"mean": "the mean of those", "zero": "zeros", "random": "random numbers, as without a file"}


def freeze_vectors(options: TrainingOptions, model: nn.Module) -> None:
    """Keep the table of the inputs as it is, where the options say so."""
    table = table_of(model)
    if options.init_frozen and table is not None:
        table.requires_grad_(False)


def table_of(model: nn.Module) -> Parameter | None:
    """The vectors of tokens in a model's inputs."""
    return model.inputs.table if isinstance(model, SequenceModel) else None


def _matched(vocabulary: Vocabulary, found: WordVectors) -> tuple[list[int], list[np.ndarray], int]:
    """Numbers of the tokens that have a vector, the vectors, and how many were found in lower case alone."""
    numbers, rows, lower = [], [], 0
    for number, token in enumerate(vocabulary.tokens(range(len(SPECIALS), len(vocabulary))), len(SPECIALS)):
        for word in _spellings(token, found):
            numbers.append(number)
            rows.append(found[word])
            lower += word != token
            break
    return numbers, rows, lower


def _spellings(token: str, found: WordVectors) -> Iterator[str]:
    if token in found:
        yield token
    elif token.lower() in found:
        yield token.lower()
    elif found.makes_unseen:
        try:
            found[token]
        except DataError:
            return
        yield token
