"""A row as tagging reads it: the tokens of a sentence, where they stand in its text, and a tag for each.

The column of tokens holds a list of tokens, or a text. The column of tags holds
- a list of tags, one for each token;
- a text of tags with white space between them: then the text of tokens is cut at white space too;
- a list of spans of the text: {"start": 7, "end": 13, "label": "LOC"}, or [7, 13, "LOC"], counted in characters.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as also
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.normal import name_of, normal
from recurra.data.formats import field
from recurra.data.formats.annotated import units_hint
from recurra.data.formats.sentences import LINE, SURFACE
from recurra.data.schemes import SCHEMES, SchemeName, Span
from recurra.data.tokenizers import CUTTERS, CutterName, Place
from recurra.data.tokenizers.learned import Learned, Unit
from recurra.tasks.blank import is_blank
from recurra.tasks.tagging.readers import Numbers

Cut = Callable[[str], list[Place]]
# The column of words of CoNLL-U.
FORM = "form"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens and tags, in normal form. tags: None where nobody knows them.

    text: as written, or the tokens with a space between
    bounds: start and end of each token in the text, one after the other
    cut: whether the tokens were cut out of the text; False for those that came as a list
    units: the words of the raw text, where a file with tokens knows it
    numbers: of its words and letters; None before there is a vocabulary
    targets: numbers of its tags; None where one of them is none of training
    in_spans, in_entries: what a dictionary of spans, or a user's own, says of its words; None where there is none
    counted: whether a dictionary has counted it, so that it is left out where it is looked up
    """

    text: str
    tokens: tuple[str, ...]
    bounds: array[int]
    tags: tuple[str, ...] | None
    origin: Origin
    cut: bool = True
    units: tuple[Unit, ...] = ()
    numbers: Numbers | None = also(default=None, compare=False)
    targets: tuple[int, ...] | None = also(default=None, compare=False)
    in_spans: NDArray[np.int32] | None = also(default=None, compare=False)
    in_entries: NDArray[np.int32] | None = also(default=None, compare=False)
    counted: bool = also(default=False, compare=False)

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def key(self) -> str:
        return " ".join(self.tokens)

    def digest(self) -> bytes:
        # What a user's own file says is learned from as well, and the file may change.
        said = () if self.in_entries is None else (self.in_entries.tobytes(),)
        return digest_of(self.tokens, self.tags, *said)

    @property
    def places(self) -> tuple[Place, ...]:
        """Start and end of each token in the text, in characters (code points), the end excluded."""
        return tuple(zip(self.bounds[::2], self.bounds[1::2], strict=True))

    @property
    def written(self) -> tuple[str, ...]:
        """The tokens as the text has them."""
        return tuple(self.text[start:end] for start, end in self.places)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read; tokens that came as a list have a tag each, whatever they are."""
        return not self.tokens or (self.cut and is_blank(self.text))


@dataclass(frozen=True, slots=True)
class TagRow:
    """A sentence with the tags of its file, before anything is fitted.

    spelt: the tags, or the labels of spans, as the file spells them
    where: of the record, what tells the lines of its tokens
    """

    sentence: Sentence
    spelt: tuple[str, ...]
    where: Record

    @property
    def origin(self) -> Origin:
        return self.sentence.origin

    @property
    def key(self) -> str:
        return self.sentence.key

    @property
    def stratum(self) -> str:
        """Nothing, as a sentence has many tags."""
        return ""

    @property
    def tags(self) -> tuple[str, ...]:
        return self.sentence.tags or ()


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds the tokens, and which the tags; how a raw text is cut, and in which scheme spans are tags.

    learned: how a text is cut that nobody has tagged; None: as `cutter` says
    """

    tokens: str
    tags: str
    cutter: CutterName
    scheme: SchemeName
    learned: Learned | None = None

    def cut(self, text: str) -> tuple[list[str], list[Place]]:
        """The tokens of a raw text, and their places."""
        if self.learned is not None:
            return self.learned(text)
        places = CUTTERS[self.cutter](text)
        return [text[start:end] for start, end in places], places

    def untagged(self, record: Record) -> Sentence:
        """A sentence without its tags; it may be empty. Raises DataError, with file and line, for what is none."""
        return self._tokens(record, None)

    def read(self, record: Record) -> TagRow:
        """A sentence with its tags. Raises DataError, with file and line, for what is none."""
        value = _parsed(field(record, self.tags), record, self.tags)
        tags: Sequence[Any]
        if isinstance(value, str):
            sentence, tags = self._tokens(record, CUTTERS["spaces"]), value.split()
        elif value and all(isinstance(tag, str) for tag in value):
            sentence, tags = self._tokens(record, _no_cut(record, self.tokens, self.tags)), value
        else:
            sentence = self._tokens(record, CUTTERS[self.cutter])
            of_text = isinstance(field(record, self.tokens), str)
            tags = _from_spans(value, sentence, self.tags, self.scheme) if of_text else value
        names = self._names(sentence, tags, record)
        lines = {LINE: record.fields[LINE]} if LINE in record.fields else {}
        spelt = tuple(map(sys.intern, map(str, tags if isinstance(value, str) else map(_spelt, value))))
        return TagRow(replace(sentence, tags=names), spelt, Record(lines, record.origin))

    def _tokens(self, record: Record, cut: Cut | None) -> Sentence:
        """cut: of a text; None: as a text that nobody has tagged"""
        value = field(record, self.tokens)
        if isinstance(value, str):
            if cut is None:
                found, places = self.cut(value)
            else:
                places = cut(value)
                found = [value[start:end] for start, end in places]
            # One object for each distinct word: a corpus of six million takes 50 MB instead of 370.
            tokens = tuple(sys.intern(str(normal(token))) for token in found)
            return Sentence(value, tokens, _bounds(places), None, record.origin)
        if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
            raise DataError(
                f"{record.origin}: column '{self.tokens}' holds {value!r:.60}, expected a text or a list of tokens."
            )
        for number, token in enumerate(value):
            if not token.strip():
                raise DataError(f"{place_of(record, number)}: token {number + 1} is empty, expected a word or a sign.")
        tokens = tuple(sys.intern(str(normal(token))) for token in value)
        units = _units(record, value) if self.tokens == FORM else ()
        return Sentence(" ".join(value), tokens, _bounds(_beside(value)), None, record.origin, cut=False, units=units)

    def _names(self, sentence: Sentence, tags: Sequence[Any], record: Record) -> tuple[str, ...]:
        """The tags as they are compared, one for each token."""
        if not sentence.tokens:
            raise DataError(
                f"{record.origin}: the sentence is empty, expected at least one token in column '{self.tokens}'. "
                "Remove the row, or set data.on_error: skip."
            )
        if len(tags) != len(sentence.tokens):
            raise DataError(
                f"{record.origin}: {_count(len(sentence.tokens), 'token')} in column '{self.tokens}' and "
                f"{_count(len(tags), 'tag')} in column '{self.tags}', expected as many."
            )
        names = []
        for number, (token, tag) in enumerate(zip(sentence.tokens, tags, strict=True)):
            names.append(sys.intern(str(name_of(tag))) if isinstance(tag, str) else "")
            if not names[-1]:
                raise DataError(
                    f"{place_of(record, number)}: the tag of token {number + 1}, '{token:.40}', is "
                    f"{tag!r:.40}; expected text."
                )
        return tuple(names)


def _spelt(one: Any) -> str:
    return one if isinstance(one, str) else str(one["label"] if isinstance(one, dict) else one[2])


def _bounds(places: Sequence[Place]) -> array[int]:
    """Eight bytes for each place, where a pair of numbers takes 160."""
    return array("i", chain.from_iterable(places))


def _units(record: Record, tokens: Sequence[str]) -> tuple[Unit, ...]:
    """The words of the raw text with their tokens, if the file knows it."""
    found, start = [], 0
    for word, number, space in record.fields.get(SURFACE, ()):
        found.append(Unit(word, tuple(tokens[start : start + number]), space))
        start += number
    return tuple(found) if start == len(tokens) else ()


def place_of(record: Record, number: int) -> str:
    """Where a token stands: its line, if the file has one for each token, else the row."""
    lines = record.fields.get(LINE)
    line = lines[number] if isinstance(lines, list) and len(lines) > number else None
    return str(Origin(record.origin.path, line) if type(line) is int else record.origin)


def _beside(tokens: Sequence[str]) -> tuple[Place, ...]:
    """The places of tokens with a space between."""
    starts = accumulate((len(token) + 1 for token in tokens), initial=0)
    return tuple((start, start + len(token)) for start, token in zip(starts, tokens, strict=False))


def _parsed(value: Any, record: Record, column: str) -> Any:
    """A cell of tags; a list in JSON, as a CSV file holds it, is read."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise DataError(
                f"{record.origin}: column '{column}' begins with [ and is no JSON list: {value!r:.60}."
            ) from None
    if not isinstance(value, str | list):
        raise DataError(
            f"{record.origin}: column '{column}' holds {value!r:.60}, expected tags or spans, such as "
            '[{"start": 0, "end": 6, "label": "LOC"}].'
        )
    return value


def _no_cut(record: Record, tokens: str, tags: str) -> Cut:
    def refuse(text: str) -> list[Place]:
        raise DataError(
            f"{record.origin}: column '{tags}' holds a list of tags, and column '{tokens}' a text that is not cut into "
            "tokens; expected a list of tokens too, or tags in a text with spaces between."
        )

    return refuse


def _from_spans(value: Sequence[Any], sentence: Sentence, column: str, scheme: SchemeName) -> list[str]:
    """Spans of the text as tags of its tokens. Raises DataError for spans that are none."""
    spans = sorted(_span(one, sentence, column) for one in value)
    for (start, end, _), (other, other_end, _) in pairwise(spans):
        if other < end:
            raise DataError(
                f"{sentence.origin}: the spans {start}-{end} ({sentence.text[start:end]!r:.40}) and {other}-"
                f"{other_end} ({sentence.text[other:other_end]!r:.40}) overlap, and a token can have one tag. Leave "
                "one of them out."
            )
    return SCHEMES[scheme].write(_of_tokens(spans, sentence), len(sentence.tokens))


def _span(one: Any, sentence: Sentence, column: str) -> tuple[int, int, str]:
    keys = ("start", "end", "label")
    parts: Any = [one.get(key) for key in keys] if isinstance(one, Mapping) else one
    if isinstance(parts, list) and len(parts) == len(keys):
        start, end, label = parts
        if type(start) is int and type(end) is int and isinstance(label, str) and name_of(label):
            if 0 <= start < end <= len(sentence.text):
                return start, end, name_of(label)
            length = len(sentence.text)
            raise DataError(
                f"{sentence.origin}: span {start}-{end} of label '{label:.40}' does not lie in the text, which has "
                f"{length} characters{units_hint(sentence.text, end)}; expected 0 <= start < end <= {length}."
            )
    raise DataError(
        f"{sentence.origin}: column '{column}' holds {one!r:.60}, expected spans with a start, an end and a label, "
        'such as {"start": 0, "end": 6, "label": "LOC"}.'
    )


def _of_tokens(spans: Sequence[tuple[int, int, str]], sentence: Sentence) -> list[Span]:
    """Spans of characters as spans of tokens; white space at their edges belongs to no token."""
    found, number = [], 0
    places = sentence.places
    for start, end, label in spans:
        while number < len(places) and places[number][1] <= start:
            number += 1
        first = number
        while number < len(places) and places[number][0] < end:
            number += 1
        if first == number:
            raise DataError(
                f"{sentence.origin}: span {start}-{end} of label '{label:.40}' holds no token: "
                f"{sentence.text[start:end]!r:.40}."
            )
        for (one, other), inside in (
            (places[first], places[first][0] >= start),
            (places[number - 1], places[number - 1][1] <= end),
        ):
            if not inside:
                raise DataError(
                    f"{sentence.origin}: span {start}-{end} ({sentence.text[start:end]!r:.40}) of label '{label:.40}' "
                    f"cuts through the token '{sentence.text[one:other]:.40}' at {one}-{other}. Correct the span, or "
                    "choose another task.tokenizer."
                )
        found.append(Span(label, first, number))
    return found


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
