"""Conversations as examples: what has been said last, and the reply to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.base.contracts import Origin
from recurra.base.normal import normal
from recurra.data.draws import drawn, key_of
from recurra.data.tokenizers import EOS, Encoded, Vocabulary
from recurra.metrics.dialogue import CANDIDATES
from recurra.tasks.dialogue.turns import Conversation
from recurra.tasks.translation.pairs import PairCodec, TextPair, Wanted

# Rows of a split whose right reply is looked for among others, and what these are drawn by.
RANKED, SEED = 500, 20
_OTHERS, _ROWS = 1, 2


@dataclass(frozen=True, slots=True)
class Exchange:
    """A context and its reply as `TextPair` has a source and its target. last: what was said last

    conversation: which one, 8 bytes      others: replies to other contexts, among which the right one is looked for
    """

    pair: TextPair
    last: str
    conversation: bytes
    others: tuple[Wanted, ...] = ()

    @property
    def origin(self) -> Origin:
        return self.pair.origin

    @property
    def length(self) -> int:
        return self.pair.length

    @property
    def key(self) -> str:
        """Context and reply: people say hello in many conversations."""
        wanted = self.pair.wanted
        return f"{self.pair.key}\n\n{'' if wanted is None else wanted.text}"

    @property
    def is_blank(self) -> bool:
        return self.pair.is_blank

    def digest(self) -> bytes:
        return self.pair.digest()


class ExchangeCodec:
    """Examples as plain values, and back."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._pairs = PairCodec(vocabulary, vocabulary)

    def to_plain(self, one: Exchange) -> Any:
        others = tuple(self._pairs.to_plain(replace(one.pair, wanted=other)) for other in one.others)
        return self._pairs.to_plain(one.pair), one.last, one.conversation, others

    def from_plain(self, plain: Any, origin: Origin) -> Exchange:
        """The inverse of `to_plain`."""
        pair, last, conversation, others = plain
        found = [self._pairs.from_plain(other, origin).wanted for other in others]
        return Exchange(
            self._pairs.from_plain(pair, origin), last, conversation, tuple(one for one in found if one is not None)
        )


def joined(turns: Sequence[Encoded], limit: int | None) -> Encoded:
    """Turns one behind the other, with an end between two; the last so many tokens."""
    vocabulary = turns[0].vocabulary
    mark = Encoded(vocabulary, np.array([EOS], vocabulary.dtype).tobytes())
    parts = [part for number, turn in enumerate(turns) for part in ((mark, turn) if number else (turn,))]
    spelt = b"\xff".join(part.spelling for part in parts if part.spelling)
    whole = Encoded(vocabulary, b"".join(part.data for part in parts), spelt)
    return whole if limit is None or len(whole) <= limit else whole.part(len(whole) - limit, len(whole))


def context_of(
    instruction: Encoded | None, turns: Sequence[Encoded], number: int, limit: int | None
) -> tuple[Encoded, int]:
    """The instruction and the last turns as a model reads them, and how many turns these are."""
    kept = list(turns[-number:])
    return joined([*([] if instruction is None else [instruction]), *kept], limit), len(kept)


def exchanges(
    row: Conversation, texts: Sequence[Encoded], *, number: int, limit: int | None, speaker: str | None
) -> Iterator[Exchange]:
    """A conversation as a context for each reply. texts: of `row.texts`      speaker: whose replies; None: all

    A reply without a token is left out: nobody could say it.
    """
    begin = 1 if row.instruction else 0
    instruction, turns = texts[0] if begin else None, texts[begin:]
    own = digest_of_name(row.key)
    for place in range(1, len(turns)):
        if not len(turns[place]) or (speaker is not None and row.speakers[place] != speaker):
            continue
        encoded, kept = context_of(instruction, turns[:place], number, limit)
        told = ((row.instruction,) if begin else ()) + row.turns[place - kept : place]
        reply = Wanted(normal(row.turns[place]), (turns[place],), None, None)
        pair = TextPair("\n".join(told), encoded, encoded.ids, reply, row.origin)
        yield Exchange(pair, row.turns[place - 1], own)


def digest_of_name(name: str) -> bytes:
    """8 bytes for a conversation."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def with_others(rows: Sequence[Exchange]) -> list[Exchange]:
    """Rows, of which RANKED, drawn by what they say, have replies of other rows beside their own.

    Drawn by SEED and the row, so that the same rows have the same ones; a reply with the same text is none.
    """
    order = sorted(range(len(rows)), key=lambda k: (key_of(SEED, _ROWS, rows[k].digest()), k))
    found = list(rows)
    for place in order[:RANKED]:
        others = _others(rows, place)
        if len(others) == CANDIDATES - 1:
            found[place] = replace(rows[place], others=others)
    return found


def _others(rows: Sequence[Exchange], place: int) -> tuple[Wanted, ...]:
    own = rows[place].pair.wanted
    texts, found = {own.text if own else ""}, []
    for share in drawn(key_of(SEED, _OTHERS, rows[place].digest()), 20 * CANDIDATES, _OTHERS):
        other = rows[int(share * len(rows))].pair.wanted
        if other is not None and other.text not in texts:
            texts.add(other.text)
            found.append(other)
        if len(found) == CANDIDATES - 1:
            break
    return tuple(found)
