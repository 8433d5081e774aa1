"""Conversations to examples, for the tasks that read them; and conversations that two splits share."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import Encoded
from recurra.tasks.dialogue.exchanges import Exchange, context_of, exchanges
from recurra.tasks.dialogue.reading import Said
from recurra.tasks.dialogue.turns import Conversation
from recurra.tasks.text import TextEncoder
from recurra.tasks.translation.pairs import TextPair


class Contexts:
    """From turns to contexts with their replies. plan: of a task that has the options of `dialogue.options`"""

    def __init__(self, plan: Any, encoder: TextEncoder) -> None:
        self._plan, self._encoder = plan, encoder

    def last(self, record: Record) -> Exchange:
        """The last reply of a conversation, to what was said before it. Raises DataError for what has none."""
        row = self._plan.read(record)
        found = deque(self._of(row, map(self._encoded, row.texts)), maxlen=1)
        if not found:
            speaker = self._plan.replies_of
            said = "has no reply with a token" if speaker is None else f"has no reply of task.replies_of: {speaker}"
            raise DataError(f"{record.origin}: {said}. Leave it out, or set data.on_error: skip.")
        return found[0]

    def so_far(self, record: Record) -> Exchange:
        """All turns of a record as a context. Raises DataError, with file and line, for what has none."""
        instruction, turns = self._plan.columns.so_far(record)
        return self.asked(instruction, [one.text for one in turns], record)

    def asked(self, instruction: str, turns: Sequence[str], record: Record) -> Exchange:
        """What was said so far, to which nobody knows the reply."""
        told = None if not instruction else self._encoded(instruction)
        # Where each turn has a column, no context has more of them than there are columns before the last.
        columns = len(self._plan.columns.turns)
        number = self._plan.context if columns == 1 else min(self._plan.context, columns - 1)
        kept = list(turns[-number:]) or [""]
        encoded, _ = context_of(told, list(map(self._encoded, kept)), len(kept), self._plan.max_context_tokens)
        text = "\n".join([*([instruction] if instruction else []), *kept])
        return Exchange(TextPair(text, encoded, encoded.ids, None, record.origin), kept[-1], b"")

    def learned(
        self, rows: Collection[Conversation], encoded: Iterator[tuple[Encoded, int]], means: Means
    ) -> Iterator[Exchange]:
        """Training rows as examples. encoded: of all their texts, in order"""
        for row in means.encoding(rows):
            yield from self._of(row, [next(encoded)[0] for _ in row.texts])

    def training(self, rows: Iterable[Conversation], means: Means = IN_MEMORY) -> Iterator[Exchange]:
        """Rows as examples, one by one."""
        waiting: deque[Conversation] = deque()
        found: list[Encoded] = []

        def texts() -> Iterator[Said]:
            for row in rows:
                waiting.append(row)
                yield from map(Said, row.texts)

        for _, encoded, _ in self._encoder.encoded(texts(), means):
            found.append(encoded)
            if len(found) == len(waiting[0].texts):
                yield from self._of(waiting.popleft(), found)
                found = []

    def _encoded(self, text: str) -> Encoded:
        return self._encoder.encode(text)[0]

    def _of(self, row: Conversation, texts: Iterable[Encoded]) -> Iterator[Exchange]:
        plan = self._plan
        return exchanges(row, list(texts), number=plan.context, limit=plan.max_context_tokens, speaker=plan.replies_of)


class LearnedFrom:
    """The conversations that a model has learned from, to find them in other splits."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}

    def learn(self, examples: Sequence[Exchange]) -> None:
        """These, and no others."""
        self._places = {}
        for one in examples:
            self._places.setdefault(one.conversation, str(one.origin))

    def leaks(self, examples: Sequence[Exchange], split: str) -> tuple[str, ...]:
        """A sentence on conversations that stand in train too."""
        first: dict[bytes, str] = {}
        for one in examples:
            first.setdefault(one.conversation, str(one.origin))
        shared = [name for name in first if name in self._places]
        if not shared:
            return ()
        stand = "stands" if len(shared) == 1 else "stand"
        return (
            f"leak: {len(shared):,} of {len(first):,} conversations of {split} {stand} in train too (first: "
            f"{first[shared[0]]} is {self._places[shared[0]]}), so the {split} scores are too good.",
        )
