"""Probabilities of tags that fit dev: token by token, as those of labels are row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score, Table
from recurra.metrics import Labelling, calibration_error, reliability, softmax_temperature
from recurra.tasks.tagging.decoding import Tagged
from recurra.tasks.tagging.sentences import Sentence

# In the place of a probability of 0, whose logarithm there is not.
TINY = 1e-300
# Tokens that a temperature is fitted on; more of them change it in its third digit.
MOST_FITTED = 100_000


def fitted_temperature(outputs: Sequence[Tagged], examples: Sequence[Sentence], tags: tuple[str, ...]) -> float:
    """The T at which the tags of these sentences are most probable, from probabilities of T = 1; 1 if there are none.

    Tags that were said to be impossible are left out: no T makes them possible.
    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    rows = labelled(outputs, examples, tags)
    if rows is None:
        return 1.0
    possible = np.flatnonzero(rows.probabilities[np.arange(len(rows.gold)), rows.gold] > 0)
    some = possible[:: max(1, len(possible) // MOST_FITTED)]
    return softmax_temperature(np.log(np.maximum(rows.probabilities[some], TINY)), rows.gold[some])


def probability_scores(
    outputs: Sequence[Tagged], examples: Sequence[Sentence], tags: tuple[str, ...], split: str
) -> tuple[Score, ...]:
    """Log loss, in nats per token, and calibration error of tokens; none of answers without probabilities."""
    rows = labelled(outputs, examples, tags)
    if rows is None:
        return ()
    right = rows.probabilities[np.arange(len(rows.gold)), rows.gold]
    nats = float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())
    return (
        Score("log_loss", nats, "nats", "lower", split),
        Score("calibration_error", calibration_error(rows), "0..1", "lower", split),
    )


def reliability_table(
    outputs: Sequence[Tagged], examples: Sequence[Sentence], tags: tuple[str, ...]
) -> tuple[Table, ...]:
    """How often tags of a given probability are right, of tokens."""
    rows = labelled(outputs, examples, tags)
    return () if rows is None else (reliability(rows),)


def labelled(outputs: Sequence[Tagged], examples: Sequence[Sentence], tags: tuple[str, ...]) -> Labelling | None:
    """All tokens whose right tag is in the tag set, with what was said of them; None where there are none."""
    place = {tag: k for k, tag in enumerate(tags)}
    chances: list[NDArray[np.float32]] = []
    gold: list[int] = []
    said: list[int] = []
    for output, example in zip(outputs, examples, strict=True):
        known = [k for k, tag in enumerate(example.tags or ()) if tag in place]
        if output.chances is None or not known:
            continue
        chances.append(output.chances[known])
        gold += [place[(example.tags or ())[k]] for k in known]
        said += [place[output.tags[k]] for k in known]
    if not gold:
        return None
    whole = np.concatenate(chances).astype(np.float64)
    return Labelling(tags, len(tags), np.array(gold), np.array(said), whole, ())
