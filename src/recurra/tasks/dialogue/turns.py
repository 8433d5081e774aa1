"""Conversations as files have them: turns as a list, as messages, in several columns, or a row each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.base.normal import name_of, normal
from recurra.base.words import as_written
from recurra.data.formats import field, spelt
from recurra.tasks.blank import emptiness

# What people call the text of a message, and who says it; the first that is there wins.
TEXT_KEYS = ("content", "text", "value", "utterance", "message")
SPEAKER_KEYS = ("role", "speaker", "from", "author", "name", "user")
# Who instructs an assistant, and is no speaker.
INSTRUCTS = ("system", "developer")
MEND = "Fill it in, or set data.on_error: skip."
# Characters of a turn that a message shows.
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says at a time. speaker: "" where nobody knows"""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns before anything is fitted, two at least. instruction: what stands before every context; "" for none

    speakers: of each turn, "" where nobody knows      name: of the conversation, "" where it has none
    source: where its replies are from
    """

    instruction: str
    turns: tuple[str, ...]
    speakers: tuple[str, ...]
    name: str
    origin: Origin
    source: str = ""

    @property
    def key(self) -> str:
        return self.name or normal("\n".join(self.turns))

    @property
    def stratum(self) -> str:
        return ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is read of it, the instruction first, if there is one."""
        return ((self.instruction,) if self.instruction else ()) + self.turns


@dataclass(frozen=True, slots=True)
class TurnColumns:
    """Which columns hold a conversation. turns: one of lists, of messages or of text; several: a turn each

    speaker: beside the turns, a list as they are      separator: between the turns of one cell
    name: of a conversation      most: turns of one, at most      source: where its replies are from
    """

    turns: tuple[str, ...]
    speaker: str | None
    separator: str | None
    name: str | None
    most: int
    source: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        others = (self.speaker, self.name, self.source)
        return (*self.turns, *dict.fromkeys(one for one in others if one is not None))

    def read(self, record: Record) -> Conversation:
        """A conversation to learn from. Raises DataError, with file and line, for what is none."""
        turns = self._said(record, whole=True)
        if len(turns) > self.most:
            raise DataError(
                f"{record.origin}: has {len(turns):,} turns, expected {self.most:,} at most. Cut the conversation, "
                "raise task.max_turns, or set data.on_error: skip."
            )
        for number, one in enumerate(turns):
            if wrong := emptiness(one.text):
                raise DataError(
                    f"{_origin(record, number)}: turn {number + 1} of {len(turns)} {wrong}, expected text. {MEND}"
                )
        instruction, merged = parted(turns)
        _refuse_monologue(record, turns, merged)
        speakers = tuple(one.speaker for one in merged)
        texts, where = tuple(one.text for one in merged), record.origin
        named, source = (self._named(record, column) for column in (self.name, self.source))
        return Conversation(instruction, texts, speakers, named, where, source)

    def so_far(self, record: Record) -> tuple[str, list[Turn]]:
        """The instruction, and what has been said so far; a text is one turn. Raises DataError for what is neither."""
        return parted(self._said(record, whole=False))

    def _named(self, record: Record, column: str | None) -> str:
        value = None if column is None else field(record, column)
        return "" if value is None else name_of(str(value))

    def _said(self, record: Record, *, whole: bool) -> list[Turn]:
        """Turns as they stand there. whole: of a conversation to learn from, of which one text is none"""
        if len(self.turns) > 1:
            names = self.turns if whole else self.turns[:-1]
            return [self._one(record, field(record, name), name, "") for name in names]
        (column,) = self.turns
        value = self._listed(record, column, whole=whole)
        speakers: Sequence[Any] = [""] * len(value)
        if self.speaker is not None and (whole or spelt(self.speaker, record.fields)):
            speakers = self._speakers(record, len(value))
        return [
            self._one(record, one, column, speaker, number)
            for number, (one, speaker) in enumerate(zip(value, speakers, strict=True))
        ]

    def _listed(self, record: Record, column: str, *, whole: bool) -> list[Any]:
        value = field(record, column)
        if isinstance(value, str):
            value = _from_text(value, self.separator)
            if isinstance(value, str):
                if whole:
                    raise DataError(
                        f"{record.origin}: column '{column}' holds one text, {as_written(value)}, expected turns: a "
                        "list of texts or of messages, a text with task.separator between turns, or a row a turn with "
                        "data.layout: {name: long, id: CONVERSATION}."
                    )
                value = [value]
        if not isinstance(value, list):
            raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected a list of turns.")
        return value

    def _speakers(self, record: Record, number: int) -> list[str]:
        assert self.speaker is not None, "is asked for where there is one"
        value = field(record, self.speaker)
        if not isinstance(value, list) or len(value) != number:
            has = f"{len(value):,} speakers" if isinstance(value, list) else as_written(value)
            raise DataError(
                f"{record.origin}: column '{self.speaker}' holds {has}, expected a list with one for each of "
                f"{number:,} turns."
            )
        for place, one in enumerate(value):
            if one is None or not str(one).strip():
                raise DataError(
                    f"{_origin(record, place)}: column '{self.speaker}' is empty, expected a speaker. {MEND}"
                )
        return [name_of(str(one)) for one in value]

    def _one(self, record: Record, value: Any, column: str, speaker: str, number: int = 0) -> Turn:
        """A turn: a text, or a message. Raises DataError for neither."""
        if isinstance(value, Mapping):
            own = next((value[key] for key in SPEAKER_KEYS if isinstance(value.get(key), str)), "")
            text = _content(next((value[key] for key in TEXT_KEYS if key in value), None))
            if text is not None:
                return Turn(speaker or name_of(own), text)
        elif isinstance(value, str):
            return Turn(speaker, value)
        raise DataError(
            f"{_origin(record, number)}: column '{column}' holds {as_written(value)}, expected a turn: a text, or a "
            'message such as {"role": "user", "content": "Hello."}.'
        )


def parted(turns: Sequence[Turn]) -> tuple[str, list[Turn]]:
    """The instruction, and the turns; what one speaker says in several turns that follow one another is one."""
    told = [one.text for one in turns if one.speaker.lower() in INSTRUCTS]
    merged: list[Turn] = []
    for one in turns:
        if one.speaker.lower() in INSTRUCTS:
            continue
        if merged and one.speaker and one.speaker == merged[-1].speaker:
            merged[-1] = Turn(one.speaker, f"{merged[-1].text}\n{one.text}")
        else:
            merged.append(one)
    return "\n".join(told), merged


def _refuse_monologue(record: Record, turns: Sequence[Turn], merged: Sequence[Turn]) -> None:
    """Raise DataError where nobody replies."""
    if len(merged) > 1:
        return
    if len(turns) > 1 and merged:
        raise DataError(
            f"{record.origin}: has one speaker only, '{merged[0].speaker}', in {len(turns)} turns, and nobody replies; "
            "expected two speakers at least. Leave it out, or set data.on_error: skip."
        )
    raise DataError(
        f"{record.origin}: has {len(merged)} turn{'' if len(merged) == 1 else 's'}, expected two at least: what is "
        "said, and a reply. Leave it out, or set data.on_error: skip."
    )


def _origin(record: Record, number: int) -> Origin:
    """Where a turn stands: its own row, where it has one."""
    return record.steps[number] if number < len(record.steps) else record.origin


def _from_text(value: str, separator: str | None) -> Any:
    """A list that is written as JSON, or the parts between separators; else the text itself."""
    if value.lstrip().startswith("["):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list):
            return found
    if separator is not None and separator in value:
        parts = value.split(separator)
        return [one.strip() for one in (parts[:-1] if not parts[-1].strip() else parts)]
    return value


def _content(value: Any) -> str | None:
    """The text of a message; of parts, those of text together."""
    if isinstance(value, list):
        parts = [one.get("text") for one in value if isinstance(one, Mapping) and one.get("type", "text") == "text"]
        return "\n".join(part for part in parts if isinstance(part, str)) if parts else None
    return value if isinstance(value, str) else None
