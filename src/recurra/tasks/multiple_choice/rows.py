"""Questions with their choices, as records have them and as examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.normal import normal
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.tokenizers import Encoded
from recurra.tasks.blank import emptiness, is_blank

LabelIs = Literal["index", "letter", "text"]
# Of a choice's number at most.
DIGITS = 9


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """What choices are about, and the choices. gold: the place of the right one, None where nobody knows"""

    context: str
    question: str
    choices: tuple[str, ...]
    gold: int | None
    origin: Origin

    @property
    def asked(self) -> str:
        """What people read before the choices."""
        return "\n".join(part for part in (self.context, self.question) if not is_blank(part))

    @property
    def key(self) -> str:
        """Questions about one context stay in one split."""
        return normal(self.context or self.question)

    @property
    def stratum(self) -> str:
        return ""

    def pairs(self) -> list[tuple[str, str]]:
        """The two texts that a model reads for each choice: context, and question with choice; or question, and
        choice.
        """
        if is_blank(self.context):
            return [(self.question, choice) for choice in self.choices]
        before = "" if is_blank(self.question) else f"{self.question} "
        return [(self.context, before + choice) for choice in self.choices]


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    """Each choice with what it is about, as the tokens that a model reads. all_tokens: of the longest, before it was
    cut
    """

    row: ChoiceRow
    encoded: tuple[Encoded, ...]
    all_tokens: int

    @property
    def gold(self) -> int | None:
        return self.row.gold

    @property
    def origin(self) -> Origin:
        return self.row.origin

    @property
    def length(self) -> int:
        return sum(map(len, self.encoded))

    @property
    def key(self) -> str:
        return normal("\n".join((self.row.context, self.row.question, *self.row.choices)))

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing that choices are about."""
        return is_blank(self.row.asked)

    def digest(self) -> bytes:
        return digest_of([one.digest() for one in self.encoded], self.gold)


@dataclass(frozen=True, slots=True)
class ChoiceColumns:
    """Which column is which. choices: one with a list, or several with a choice each"""

    context: str | None
    question: str | None
    choices: tuple[str, ...]
    label: str
    label_is: LabelIs
    first: int

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(name for name in (self.context, self.question) if name is not None)

    def read(self, record: Record) -> ChoiceRow:
        """A row to learn from. Raises DataError, with file and line, for what is none."""
        row = self.unlabelled(record)
        for name in self.texts[-1:]:
            if wrong := emptiness(_text(record, name)):
                raise DataError(
                    f"{record.origin}: column '{name}' {wrong}, expected text. Fill it in, or set data.on_error: skip."
                )
        gold = self._gold(field(record, self.label), row.choices, record.origin)
        return ChoiceRow(row.context, row.question, row.choices, gold, record.origin)

    def unlabelled(self, record: Record) -> ChoiceRow:
        """The texts of a record; nobody knows which choice is right. Raises DataError for what are no choices."""
        context, question = ("" if name is None else _text(record, name) for name in (self.context, self.question))
        choices = self._choices(record)
        if len(choices) < 2:
            raise DataError(
                f"{record.origin}: has {len(choices)} choice{'' if len(choices) == 1 else 's'}, expected at least 2."
            )
        if any(map(is_blank, choices)):
            number = next(k for k, choice in enumerate(choices) if is_blank(choice)) + 1
            raise DataError(f"{record.origin}: choice {number} of {len(choices)} is empty, expected text.")
        if len(set(choices)) < len(choices):
            twice = next(choice for k, choice in enumerate(choices) if choice in choices[:k])
            raise DataError(f"{record.origin}: the choice {twice!r:.60} stands there twice, expected different ones.")
        return ChoiceRow(context, question, choices, None, record.origin)

    def _choices(self, record: Record) -> tuple[str, ...]:
        if len(self.choices) > 1:
            found = [field(record, name) for name in self.choices]
            while found and found[-1] in (None, ""):  # rows may have fewer choices than there are columns
                found.pop()
            wrong = next(
                (name for name, one in zip(self.choices, found, strict=False) if not isinstance(one, str)), None
            )
            if wrong is not None:
                raise DataError(
                    f"{record.origin}: column '{wrong}' holds {as_written(field(record, wrong))}, expected text."
                )
            return tuple(found)
        value = _listed(field(record, self.choices[0]))
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise DataError(
                f"{record.origin}: column '{self.choices[0]}' holds {as_written(field(record, self.choices[0]))}, "
                "expected a list of texts, or a text with one choice a line."
            )
        return tuple(value)

    def _gold(self, value: Any, choices: Sequence[str], origin: Origin) -> int:
        said = "" if value is None or isinstance(value, bool) else str(value).strip()
        if self.label_is == "text":
            found = next((k for k, choice in enumerate(choices) if choice.strip() == said), -1)
            known = "one of the choices"
        elif self.label_is == "letter":
            found = ord(said.upper()) - ord("A") if len(said.upper()) == 1 else -1
            known = f"A to {chr(ord('A') + len(choices) - 1)}"
        else:
            found = int(said) - self.first if said.isdecimal() and len(said) <= DIGITS else -1
            known = f"{self.first} to {len(choices) - 1 + self.first}"
        if not 0 <= found < len(choices):
            raise DataError(
                f"{origin}: column '{self.label}' holds {as_written(value)}, expected {known} (task.label_is: "
                f"{self.label_is}). Mend it, or set data.on_error: skip."
            )
        return found


def _text(record: Record, column: str) -> str:
    value = field(record, column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected text.")
    return value or ""


def _listed(value: Any) -> Any:
    """A list; of a text a JSON list, or its lines."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple) else value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # of a number of more than 4,300 digits too
            pass
    return [line.strip() for line in value.splitlines() if line.strip()]
