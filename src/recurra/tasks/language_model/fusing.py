"""A language model beside another model: how probable each token of that one's texts is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.data.tokenizers import EOS, UNK
from recurra.data.tokenizers.cleaning import Cleaning
from recurra.decode.fusion import NetworkScores
from recurra.models import IncrementalModel, SequenceModel
from recurra.nn import softmax_log_probabilities
from recurra.tasks.language_model.generation import State

if TYPE_CHECKING:
    from recurra.tasks.language_model.task import LanguageModelling

BY: dict[str, Literal["unit", "word"]] = {"characters": "unit", "words": "word", "spaces": "word"}


class _Steps:
    """`decode.Steps` of a model: all tokens, the unknown one too."""

    def __init__(self, model: SequenceModel) -> None:
        self._step = IncrementalModel(model.eval())

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, after = self._step(tokens, state)
        return softmax_log_probabilities(outputs)[0], after

    def select(self, state: State, rows: Tensor) -> State:
        return {name: value[rows] for name, value in state.items()}


def token_scores(
    task: LanguageModelling, model: torch.nn.Module
) -> tuple[NetworkScores[State], Literal["unit", "word"]]:
    """What judges tokens, and what a token is. A token that it never saw is as probable as the unknown one.

    Raises ConfigError for a model of pieces of words, or one that reads letters.
    """
    how = task.reader.tokenizer.to_json()
    by = BY.get(str(how["name"]))
    if by is None or task.letters is not None:
        what = "letters of words" if by else str(how["name"])
        raise ConfigError(f"lm: reads {what}; expected a language model of characters or of words.")
    vocabulary = task.vocabulary
    return NetworkScores(
        _Steps(cast(SequenceModel, model)),
        {},
        start=task.start,
        numbers={token: k for k, token in enumerate(vocabulary.tokens(range(len(vocabulary))))},
        unknown=UNK,
        end=EOS if task.closed else None,
        written=Cleaning(lowercase=how["lowercase"], normalization=how["normalization"]),
        device=next(model.parameters()).device,
    ), by
