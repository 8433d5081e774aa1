"""What a dialogue is read and answered with: tokens, how replies are written for people, and what training had."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from recurra.base.errors import DataError, RunError
from recurra.config import build
from recurra.data.draws import key_of
from recurra.data.preparing import Means
from recurra.data.tokenizers import TOKENIZERS, Encoded, Joining, joining_from_json
from recurra.metrics.dialogue import dull_replies
from recurra.metrics.tfidf import NearestTexts
from recurra.tasks.dialogue.turns import Conversation
from recurra.tasks.text import TextEncoder

# Turns of training that are kept, to see whether anything near was learned; and what they are drawn by.
KEPT, SEED = 2000, 21
LONGEST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Said:
    """A turn of a conversation."""

    text: str


class Turns(Collection[Said]):
    """All that is read of conversations, again and again."""

    def __init__(self, rows: Collection[Conversation]) -> None:
        self._rows, self._number = rows, sum(len(row.texts) for row in rows)

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Said]:
        return (Said(text) for row in self._rows for text in row.texts)

    def __contains__(self, one: object) -> bool:
        return any(one == other for other in self)


@dataclass(frozen=True, slots=True)
class Reading:
    """encoder: of turns      joining: how replies are written      known: turns of training that had a reply

    dull: the replies that training had most often      threshold: of nearness, under which nothing is answered; None
    before it was fitted      refused: of dev contexts how many are under it, 0..1
    """

    encoder: TextEncoder
    joining: Joining
    known: tuple[str, ...]
    dull: tuple[str, ...]
    threshold: float | None = None

    def refusing(self, near: Sequence[float], share: float) -> tuple[Reading, str]:
        """With the threshold under which this share of contexts is, none without any; and what came of it.

        near: how near each context of dev is
        """
        if not near:
            return (
                self,
                "none, so everything is answered: dev has fewer than ten different replies. Give more dialogues",
            )
        order = sorted(near)
        found = order[int(share * len(order))]
        under = sum(one < found for one in order) / len(order)
        told = (
            f"{found:.4g}: what was said is answered if its nearness to training (TF-IDF, cosine) is as much; of "
            f"{len(order):,} dev contexts {under:.1%} are under it (task.refuse: {share:g})"
        )
        return replace(self, threshold=found), told

    def far(self, near: float) -> str | None:
        """A note on what was said so far from all that was learned; None where it is near enough."""
        if self.threshold is None or near >= self.threshold:
            return None
        return f"nothing near was learned: nearness {near:.3f}, under the threshold {self.threshold:.3f}"

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "reader": self.encoder.to_json(),
            "joining": self.joining.to_json(),
            "known": list(self.known),
            "dull": list(self.dull),
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> Reading:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        try:
            known, dull, threshold = data["known"], data["dull"], data["threshold"]
            if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in (known, dull)):
                raise ValueError("known and dull turns")
            if threshold is not None and not (isinstance(threshold, int | float) and math.isfinite(threshold)):
                raise ValueError(f"threshold {threshold!r}")
            encoder, joining = TextEncoder.from_json(data["reader"], origin), joining_from_json(data["joining"], origin)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected what a dialogue reads: {str(error)[:300]}.") from error
        return cls(encoder, joining, tuple(known), tuple(dull), threshold)


class Nearness:
    """How near what was said is to what training had, made when it is first asked for."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    @cached_property
    def _texts(self) -> NearestTexts:
        return NearestTexts(self._known)

    def of(self, text: str) -> float:
        """0..1"""
        return self._texts.nearness(text)


def fitted(
    plan: Any, rows: Collection[Conversation], source: str, means: Means
) -> tuple[Reading, Iterator[tuple[Encoded, int]]]:
    """What training rows teach before a model sees them, and all their texts as numbers, in order.

    Raises DataError where nobody replies.
    """
    replies = [text for row in rows for text in replies_of(row, plan.replies_of)]
    if not replies:
        speakers = ", ".join(sorted({f"'{one}'" for row in islice(rows, 1000) for one in row.speakers})[:5])
        raise DataError(
            f"{source}: no reply is of task.replies_of: {plan.replies_of}. Speakers: {speakers}; '' is a turn whose "
            "speaker nobody knows."
        )
    encoder, encoded = TextEncoder.fit(
        build(plan.tokenizer, TOKENIZERS),
        Turns(rows),
        means,
        min_count=plan.min_count,
        max_vocabulary=plan.max_vocabulary,
        max_length=None,
        keep="start",
    )
    joining = Joining.learn(encoder.tokenizer, replies[:: Joining.step(len(replies))])
    return Reading(encoder, joining, _known(rows, plan.replies_of), dull_replies(replies)), encoded


def replies_of(row: Conversation, speaker: str | None) -> list[str]:
    """The turns of a conversation that are replies, of a speaker or of all."""
    return [
        text for text, own in zip(row.turns[1:], row.speakers[1:], strict=True) if speaker is None or own == speaker
    ]


def _known(rows: Collection[Conversation], speaker: str | None) -> tuple[str, ...]:
    """Different turns that had a reply, so many, drawn by what they say."""
    found = {
        text[:LONGEST_KEPT]
        for row in rows
        for text, own in zip(row.turns, row.speakers[1:], strict=False)
        if speaker is None or own == speaker
    }
    return tuple(sorted(found, key=lambda text: (key_of(SEED, 0, text.encode("utf-8", "surrogatepass")), text))[:KEPT])
