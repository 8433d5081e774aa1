"""Questions to vectors of words, from a file of them or from a run whose model has a vector for each token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from recurra.api.given import AnyPath, path_of
from recurra.base.errors import ConfigError
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.data.word_vectors import WordVectors, read_vectors


def vectors(
    source: AnyPath,
    *,
    form: str = "auto",
    top: int | None = None,
    skip_bad: bool = False,
    note: Callable[[str], None] = lambda message: None,
) -> WordVectors:
    """The vectors in a file (word2vec, GloVe, fastText, safetensors), or those that the inputs of a run's model have.

    form, top: as in `read_vectors`; skip_bad: leave out what cannot be read in a file, and say so to `note`
    Raises DataError, RunError; ConfigError for a run without such vectors.
    """
    path = path_of(source, "source")
    if path.is_dir():
        return _of_run(path, top)
    return read_vectors(path, form=form, top=top, bad="skip" if skip_bad else "error", note=note)


def _of_run(path: Path, top: int | None) -> WordVectors:
    from recurra.api.folder import open_run
    from recurra.models import SequenceModel
    from recurra.tasks import Embeds, GivesVectors

    run = open_run(path)
    if isinstance(run.task, GivesVectors):
        found = run.task.vectors_of(run.model)
        return WordVectors(found.words[:top], found.matrix[:top], found.make, str(path))
    table = run.model.inputs.table if isinstance(run.model, SequenceModel) else None
    if table is None or not isinstance(run.task, Embeds):
        raise ConfigError(f"{path}: its model has no vector for each word; expected a run that reads texts, or a file.")
    words = run.task.vocabulary.tokens(range(len(SPECIALS), len(run.task.vocabulary)))[:top]
    rows = table.detach().cpu().numpy()[len(SPECIALS) :][:top]
    return WordVectors(words, np.ascontiguousarray(rows, np.float32), source=str(path))
