"""How spans of tokens are written as one tag a token, and read back.

bio     B-X begins a span of X, I-X goes on, O is outside (IOB2; Sang & Veenstra 1999, arXiv:cs/9907006)
iob1    I-X begins and goes on; B-X begins only where another span of X ends (CoNLL-2003's files)
iobes   S-X is a span of one token; B-X, I-X ..., E-X a longer one (Ratinov & Roth 2009, who call it BILOU)

Beside these, `plain`: each tag stands for itself, as in part-of-speech tagging.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from recurra.base.registry import Registry
from recurra.data.spelling import HYPHENS, OUTSIDE, Spelling, spelling_of

PLAIN = "plain"
SchemeName = Literal["plain", "bio", "iob1", "iobes"]
# Other names of the same schemes; which letters stand for S, E and I is a matter of spelling.
Alias = Literal["iob", "iob2", "bioes", "bilou", "biluo", "bmes", "bmewo"]
ALIASES: dict[str, SchemeName] = {
    "iob": "iob1",
    "iob2": "bio",
    "bioes": "iobes",
    "bilou": "iobes",
    "biluo": "iobes",
    "bmes": "iobes",
    "bmewo": "iobes",
}

Tags = Sequence[str]


class Span(NamedTuple):
    """Tokens start, start + 1, ..., end - 1 are a `label`."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to write spans.

    letters: of its tags, beside O      opens: those of them that begin a span, whatever stands before
    rule: in words                      allows: whether a tag may stand after another; O stands at both ends too
    single, last: the letter of a span of one token, and of the last token of a longer one
    """

    name: SchemeName
    letters: str
    opens: str
    rule: str
    allows: Callable[[str, str], bool]
    single: str = "B"
    last: str = "I"

    def tags(self, labels: Iterable[str]) -> tuple[str, ...]:
        """All tags for spans of these labels, O first."""
        return (OUTSIDE, *(f"{letter}-{label}" for label in labels for letter in self.letters))

    def write(self, spans: Iterable[Span], length: int) -> list[str]:
        """The tags of a sentence with these spans, which do not overlap and stand in their order."""
        tags = [OUTSIDE] * length
        for label, start, end in spans:
            letters = ["B", *("I" * (end - start - 2)), self.last] if end - start > 1 else [self.single]
            if not self.opens and not (start and parts(tags[start - 1])[1] == label):
                letters[0] = "I"
            tags[start:end] = [f"{letter}-{label}" for letter in letters]
        return tags


def parts(tag: str) -> tuple[str, str]:
    """Letter and label: ("B", "LOC"), or ("O", ""); the letter is "" for a tag that is no letter, hyphen, label."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    return (tag[0], tag[2:]) if len(tag) > 2 and tag[1] == "-" and tag[0] in "BIES" else ("", tag)


def _bio_allows(before: str, after: str) -> bool:
    (one, label), (other, wanted) = parts(before), parts(after)
    return other != "I" or (one in "BI" and label == wanted)


def _iob1_allows(before: str, after: str) -> bool:
    (one, label), (other, wanted) = parts(before), parts(after)
    return other != "B" or (one in "BI" and label == wanted)


def _iobes_allows(before: str, after: str) -> bool:
    (one, label), (other, wanted) = parts(before), parts(after)
    return (other in "IE" and label == wanted) if one in "BI" else other not in "IE"


SCHEMES: Registry[Scheme] = Registry("tagging scheme")
SCHEMES.add("bio", Scheme("bio", "BI", "B", "B-X begins a span and I-X continues it", _bio_allows))
SCHEMES.add(
    "iob1",
    Scheme(
        "iob1",
        "BI",
        "",
        "I-X begins and continues a span; B-X begins one only where another span of X ends",
        _iob1_allows,
    ),
)
SCHEMES.add(
    "iobes",
    Scheme("iobes", "BIES", "BS", "a span is S-X, or B-X, I-X ..., E-X", _iobes_allows, single="S", last="E"),
)


def problem(scheme: Scheme, tags: Tags, spelling: Spelling = HYPHENS) -> tuple[int, str] | None:
    """The place of the first tag that the scheme does not allow, and why, as a sentence; None where all are legal.

    spelling: how the sentence shows tags
    """
    shown = HYPHENS if spelling.brackets else spelling
    for place, tag in enumerate(tags):
        if parts(tag)[0] not in (OUTSIDE, *scheme.letters):
            wanted = ", ".join(map(shown.write_one, [OUTSIDE, *(f"{letter}-..." for letter in scheme.letters)]))
            return place, f"tag '{tag}' is not of scheme {scheme.name}; expected {wanted}."
    for place, (before, after) in enumerate(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True)):
        if not scheme.allows(before, after):
            if place == len(tags):
                return (
                    place - 1,
                    f"tag '{shown.write_one(before)}' ends the sentence; in scheme {scheme.name}, {scheme.rule}.",
                )
            where = f"after '{shown.write_one(before)}'" if place else "at the beginning of a sentence"
            return place, f"tag '{shown.write_one(after)}' stands {where}; in scheme {scheme.name}, {scheme.rule}."
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """How the tags of a file are read: in which scheme, and how they are spelled.

    fits: the share of its different sentences that the scheme allows, 0..1
    """

    scheme: SchemeName
    spelling: Spelling = HYPHENS
    fits: float = 1.0


def detected(rows: Collection[Tags], scheme: SchemeName | None = None) -> Reading:
    """How sentences are written: plain without tags of spans, else in the scheme that allows most of them.

    scheme: where it is known, and only the spelling is asked for. `problem` then says what is wrong with the others.
    Ties go to bio, then to iobes.
    """
    spelling = (
        None
        if scheme == PLAIN
        else spelling_of(Counter(tag for tags in rows for tag in tags), known=scheme is not None)
    )
    if spelling is None:
        return Reading("plain" if scheme is None else scheme)
    names: tuple[SchemeName, ...] = ("bio", "iobes", "iob1") if scheme is None else (scheme,)
    fits = dict.fromkeys(names, 0)
    for tags in rows:
        read = spelling.read(tags)
        for name in names:
            fits[name] += problem(SCHEMES[name], read) is None
    best = max(names, key=fits.__getitem__)
    return Reading(best, spelling, fits[best] / max(len(rows), 1))


def read_default(tags: Tags) -> list[Span]:
    """The spans of any tags, legal or not: a span begins where one must, if need be at an I or E.

    It begins at B or S, and at I or E behind O, E, S or another label. Source: seqeval 1.2.2, `get_entities`
    (mode "default"), which does as the CoNLL-2000 script conlleval does. Legal tags of each scheme give their spans.
    """
    found: list[Span] = []
    start = 0
    edges = zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True)
    for place, ((one, label), (other, wanted)) in enumerate((parts(before), parts(after)) for before, after in edges):
        if one in "BI" and other in "IE" and label == wanted:
            continue
        if one != OUTSIDE:
            found.append(Span(label, start, place))
        start = place
    return found


def read_strict(scheme: Scheme, tags: Tags) -> list[Span]:
    """The spans that are written as the scheme has them; all else is outside.

    Source: seqeval 1.2.2, `Entities` (mode "strict") of IOB2 and IOBES. iob1 has no such reading: convert first.
    """
    found: list[Span] = []
    edges = [*tags, OUTSIDE]
    place = 0
    while place < len(tags):
        letter, label = parts(tags[place])
        end = place + 1
        if letter and letter in scheme.opens:
            while parts(edges[end])[0] in "IE" and scheme.allows(edges[end - 1], edges[end]):
                end += 1
            if scheme.allows(edges[end - 1], OUTSIDE):
                found.append(Span(label, place, end))
        place = end
    return found
