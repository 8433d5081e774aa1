"""What stands beside a run that answers: `lm` of predict is opened here, a run or an ARPA file, and `lexicon` read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.api.folder import open_run
from recurra.base.errors import ConfigError
from recurra.data.lexicons import Lexicon
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import NGrams
from recurra.tasks import ScoresTokens

# What a language model weighs beside the frames, and what each of its tokens is worth, unless it is said.
WEIGHT, BONUS = 0.5, 0.0
PARTS = ("lm_weight", "lm_bonus")


def with_fusion(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of predict, with a `Fusion` where `lm` is the path of a run or of an ARPA file, and with words where
    `lexicon` is the path of a file.

    Raises ConfigError for a run that judges no tokens, and for lm_weight and lm_bonus without lm; DataError for a file
    that is no ARPA file.
    """
    rest = {name: value for name, value in options.items() if name not in PARTS}
    if isinstance(rest.get("lexicon"), str | os.PathLike):
        rest["lexicon"] = Lexicon.read(Path(rest["lexicon"]))
    given = [name for name in PARTS if name in options]
    lm = options.get("lm")
    if given and (lm is None or isinstance(lm, Fusion)):
        raise ConfigError([f"{name}: has no effect without the path of a language model; add lm." for name in given])
    if lm is None or isinstance(lm, Fusion):
        return rest
    if not isinstance(lm, str | os.PathLike):
        raise ConfigError(f"lm: expected the path of a run or of an ARPA file, got {lm!r}.")
    weight, bonus = options.get("lm_weight", WEIGHT), options.get("lm_bonus", BONUS)
    for name, value in (("lm_weight", weight), ("lm_bonus", bonus)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{name}: expected a number, got {value!r}.")
    return {**rest, "lm": _opened(Path(lm), float(weight), float(bonus))}


def _opened(path: Path, weight: float, bonus: float) -> Fusion:
    if not path.is_dir():
        ngrams = NGrams.read(path)
        return Fusion(ngrams, "unit" if ngrams.of_characters else "word", weight, bonus)
    run = open_run(path)
    if not isinstance(run.task, ScoresTokens):
        word = run.settings.tree["task"]["name"]
        raise ConfigError(f"lm: {path} is a run of {word}; expected a language model.")
    scores, by = run.task.token_scores(run.model)
    return Fusion(scores, by, weight, bonus)
