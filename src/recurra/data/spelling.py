"""How files spell the tags of spans, and the way to the one spelling that recurra has inside: B-X, I-X, E-X, S-X, O.

separator   B-PER, B_PER, B:PER, B/PER; none where the letter stands alone: B, I, O
place       B-PER or PER-B
case        B-PER or b-per
letters     BIES; BILU (L is the last token, U a single one), BMES and BMEW (M is a token within, W a single one)
brackets    (PER* * *) and *, as OntoNotes and CoNLL-2012 write them
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

OUTSIDE = "O"
# The label of spans that have none: B, I and O alone.
NO_LABEL = "span"
SEPARATORS = "-_:/"
# Letters for the first token, those within, the last one, and a span of one token.
FAMILIES = ("BIES", "BILU", "BMES", "BMEW")
# A column has spans if at least so many of its tags, O aside, are spelled in one way; the others are then mistakes.
LEAST = 0.5
# Different tags that are looked at; a column of words has more, and is none of tags.
MOST = 5000


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to write tags. separator: "" for letters alone      label_last: B-PER, not PER-B

    letters: one of FAMILIES
    lower: letters, and O, in lower case      brackets: (PER* * *); the other fields have no effect then
    """

    separator: str = "-"
    label_last: bool = True
    lower: bool = False
    letters: str = "BIES"
    brackets: bool = False

    def read(self, tags: Sequence[str]) -> tuple[str, ...]:
        """The tags of a sentence as recurra has them; one that is not so spelled stays as it is."""
        return tuple(_opened(tags)) if self.brackets else tuple(map(self.read_one, tags))

    def write(self, tags: Sequence[str]) -> tuple[str, ...]:
        """The opposite of `read`."""
        return tuple(_closed(tags)) if self.brackets else tuple(map(self.write_one, tags))

    def read_one(self, tag: str) -> str:
        """One tag as recurra has it, or itself."""
        if tag == self._cased(OUTSIDE):
            return OUTSIDE
        letter, label = self._parts(tag)
        place = self._cased(self.letters).find(letter) if letter else -1
        return f"{'BIES'[place]}-{label}" if place >= 0 and label else tag

    def write_one(self, tag: str) -> str:
        """One of recurra's tags as the file has it."""
        if tag == OUTSIDE:
            return self._cased(OUTSIDE)
        if tag[:1] not in "BIES" or tag[1:2] != "-":
            return tag
        letter = self._cased(self.letters["BIES".index(tag[0])])
        if not self.separator:
            return letter
        pair = (letter, tag[2:]) if self.label_last else (tag[2:], letter)
        return self.separator.join(pair)

    @property
    def shown(self) -> str:
        """Examples of tags, for a sentence."""
        return "(X* * *)" if self.brackets else " ".join(map(self.write_one, ("B-X", "I-X", OUTSIDE)))

    def _parts(self, tag: str) -> tuple[str, str]:
        if not self.separator:
            return (tag, NO_LABEL) if len(tag) == 1 else ("", "")
        if self.label_last:
            return (tag[0], tag[2:]) if tag[1:2] == self.separator else ("", "")
        return (tag[-1], tag[:-2]) if tag[-2:-1] == self.separator else ("", "")

    def _cased(self, letters: str) -> str:
        return letters.lower() if self.lower else letters

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


HYPHENS = Spelling()


def spelling_from_json(data: Mapping[str, Any]) -> Spelling:
    """The opposite of `Spelling.to_json`. Raises ValueError or TypeError for what is none."""
    found = Spelling(**data)
    flags = (found.label_last, found.lower, found.brackets)
    if found.letters not in FAMILIES or found.separator not in ("", *SEPARATORS):
        raise ValueError(f"letters {found.letters!r} and separator {found.separator!r}")
    if any(type(flag) is not bool for flag in flags):
        raise ValueError(f"label_last, lower and brackets are {flags!r}")
    return found


def spelling_of(counts: Mapping[str, int], *, known: bool = False) -> Spelling | None:
    """How most of these tags, with their counts, are spelled; None where they are no tags of spans.

    known: that they are tags of spans
    Letters alone must be all there is. Ties go to the more usual way: a hyphen, the letter first, upper case.
    """
    if len(counts) > MOST or not counts:
        return None
    if _bracketed(counts):
        return Spelling(brackets=True)
    total = sum(count for tag, count in counts.items() if tag not in ("O", "o"))
    found = max(_ways(counts, known), key=lambda pair: pair[1])
    if found[1] and found[1] >= LEAST * total:
        return found[0]
    return _alone(counts)


def _ways(counts: Mapping[str, int], known: bool) -> Iterator[tuple[Spelling, int]]:
    """Every way with a separator, and how many tags are spelled in it."""
    for lower, label_last, separator in product((False, True), (True, False), SEPARATORS):
        way = Spelling(separator, label_last, lower)
        letters: Counter[str] = Counter()
        for tag, count in counts.items():
            letter, label = way._parts(tag)
            if label:
                letters[letter] += count
        for family in FAMILIES:
            number = sum(letters[letter] for letter in way._cased(family))
            # Beside the usual way, a tag such as N_s or X:e is rather a feature: spans have a beginning.
            usual = known or (separator == "-" and label_last and not lower)
            begins = usual or any(letters[letter] for letter in way._cased(family[0] + family[3]))
            yield Spelling(separator, label_last, lower, family), number if begins else 0


def _alone(counts: Mapping[str, int]) -> Spelling | None:
    """Letters alone: B with O or with another letter, or I with O."""
    for lower, family in product((False, True), FAMILIES):
        way = Spelling("", True, lower, family)
        first, inside, outside = (way._cased(letter) for letter in (family[0], family[1], OUTSIDE))
        known = set(counts) <= {*way._cased(family), outside} and len(counts) > 1
        if known and (first in counts or {inside, outside} == set(counts)):
            return way
    return None


def _bracketed(counts: Mapping[str, int]) -> bool:
    opened = sum(count for tag, count in counts.items() if tag.startswith("(") and tag.rstrip(")").endswith("*"))
    return opened > 0 and all(tag in ("*", "*)") or (tag[0] == "(" and "*" in tag) for tag in counts)


def _opened(tags: Sequence[str]) -> Iterator[str]:
    label = ""
    for tag in tags:
        opens = tag.startswith("(") and "*" in tag
        if not (tag in ("*", "*)") or opens) or (opens and label) or tag.count("(") > 1 or (tag == "*)" and not label):
            yield tag  # nested, or not closed: no scheme has such a tag
            continue
        if opens:
            label = tag[1 : tag.index("*")]
        yield f"{'B' if opens else 'I'}-{label}" if label else OUTSIDE
        if tag.endswith(")"):
            label = ""


def _closed(tags: Sequence[str]) -> Iterator[str]:
    for tag, after in zip(tags, [*tags[1:], OUTSIDE], strict=True):
        if tag == OUTSIDE:
            yield "*"
            continue
        begin = f"({tag[2:]}*" if tag[0] in "BS" else "*"
        yield begin + (")" if after[0] not in "IE" or after[2:] != tag[2:] else "")
