"""Tokens as people write them: which signs stand close to their neighbours, learned from the texts of training.

A tokenizer of words cuts "plage ?" and "plage?" alike. What stood there is counted here, sign by sign and by what
stands beside it, so that answers get the spaces that the training texts had. Where those texts were tokenised
themselves ("plage ."), there is nothing to learn, and answers stay as they are unless somebody asks for the rules.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import regex  # type: ignore[import-untyped]

from recurra.base.errors import RunError
from recurra.data.tokenizers.cleaning import Cleaning
from recurra.data.tokenizers.tokenizer import Tokenizer

# Texts of training that are looked at: more tell nothing new of how signs are written.
MOST_TEXTS = 10_000
# The share of full stops and commas with a space in front from which on texts are taken for tokenised, and how many
# there must be at least. In text as people write it is under 1 %.
TOKENISED, FEWEST = 0.9, 3
# The share of such words from which on a text is French; in English, German and Spanish text it is under 3 %.
FRENCH_WORDS: Final = frozenset(("le", "la", "les", "l'", "un", "une", "des", "du", "est", "et", "dans", "sur", "à"))
FRENCH = 0.1

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_].*")
_DENSE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}].*")
_STOP = regex.compile(r"(\s?)[.,](?=\s|$)")
_HYPHEN = regex.compile(r"\p{L}-\p{L}")
EDGE = ""
# Stands for every character of a script that is written without spaces.
DENSE = "\u4e00"


class Gap(NamedTuple):
    """A sign between two neighbours. side: how many such signs stand before it in the text, even or odd"""

    before: str
    sign: str
    after: str
    side: int


class Joining:
    """How tokens with a space between become a text as people write it.

    gaps: for a sign among its neighbours, whether it stands close to what is before, and to what is behind it
    tokenised: the texts of training had spaces around signs; french, hyphens: what the rules need to know of them
    """

    def __init__(self, gaps: Mapping[Gap, tuple[bool, bool]], *, tokenised: bool, french: bool, hyphens: bool) -> None:
        self._gaps = dict(gaps)
        self.tokenised = tokenised
        self._french = french
        self._hyphens = hyphens
        self._usual = _most(self._gaps)

    @classmethod
    def learn(cls, tokenizer: Tokenizer, texts: Sequence[str]) -> Joining:
        """From texts of training, and the tokenizer that cuts them."""
        some = texts[:: cls.step(len(texts))]
        stops = Counter(bool(space) for text in some for space in _STOP.findall(text))
        tokenised = stops[True] >= max(FEWEST, TOKENISED * stops.total())
        words = Counter(word for text in some for word in text.lower().split())
        french = sum(words[word] for word in FRENCH_WORDS) > FRENCH * max(words.total(), 1)
        hyphens = any(_HYPHEN.search(text) for text in some)
        data = tokenizer.to_json()
        loses = data["name"] == "words" or data.get("algorithm") == "wordpiece"
        gaps = _counted(tokenizer, data, some) if loses and not tokenised else {}
        return cls(gaps, tokenised=tokenised, french=french, hyphens=hyphens)

    @staticmethod
    def step(number: int) -> int:
        """Of so many texts every how many-th is looked at."""
        return max(1, number // MOST_TEXTS)

    def __call__(self, text: str) -> str:
        """Tokens with spaces between them, as the texts of training were written."""
        if not self._gaps:
            return text
        tokens = text.split(" ")
        gaps = _gaps(tokens)
        parts = [tokens[0]]
        for token, (one, other) in zip(tokens[1:], pairwise(gaps), strict=True):
            parts.append(token if self._glued(one, other) else f" {token}")
        return "".join(parts)

    def by_rule(self, text: str) -> str:
        """Text that was tokenised, put together by rule: as Moses and the Penn Treebank cut it."""
        return _ruled(text, french=self._french, hyphens=self._hyphens)

    def _glued(self, one: Gap, other: Gap) -> bool:
        """Whether nothing stands between two tokens. A word has no say; two signs that never met stand close if either
        usually does."""
        said = [] if _is_word(one.sign) else [self._said(one, 1)]
        said += [] if _is_word(other.sign) else [self._said(other, 0)]
        known = [close for close, met in said if met]
        return known[0] if known else any(close for close, _ in said)

    def _said(self, gap: Gap, end: int) -> tuple[bool, bool]:
        """Whether a sign stands close to what is before it (end 0) or behind it (1); whether they met in training."""
        before, sign, after, side = gap
        wide = Gap(before, sign, "*", side), Gap("*", sign, after, side)
        cases = [gap, wide[end], wide[1 - end], Gap("*", sign, "*", side), Gap("*", sign, "*", -1)]
        for number, case in enumerate(cases):
            if case in self._usual:
                return self._usual[case][end], number < 2
        return False, False

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "gaps": [[*gap, *close] for gap, close in self._gaps.items()],
            "tokenised": self.tokenised,
            "french": self._french,
            "hyphens": self._hyphens,
        }


def joining_from_json(data: object, origin: str) -> Joining:
    """The opposite of `Joining.to_json`. Raises RunError that names `origin`."""
    try:
        if not isinstance(data, Mapping):
            raise TypeError(f"got {data!r:.60}")
        flags = {name: data[name] for name in ("tokenised", "french", "hyphens")}
        if not all(type(flag) is bool for flag in flags.values()):
            raise TypeError(f"flags {flags!r:.100}")
        gaps = {}
        for row in data["gaps"]:
            before, sign, after, side, left, right = row
            if not all(isinstance(part, str) for part in (before, sign, after)) or side not in (0, 1):
                raise TypeError(f"gap {row!r:.60}")
            if type(left) is not bool or type(right) is not bool:
                raise TypeError(f"gap {row!r:.60}")
            gaps[Gap(before, sign, after, int(side))] = (left, right)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{origin}: expected how tokens are joined: {str(error)[:200]}.") from None
    return Joining(gaps, **flags)


def _counted(tokenizer: Tokenizer, data: Mapping[str, Any], texts: Iterable[str]) -> dict[Gap, tuple[bool, bool]]:
    clean = Cleaning(lowercase=data["lowercase"], normalization=data["normalization"])
    counts: defaultdict[Gap, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for text in texts:
        tokens = tokenizer.join(tokenizer.tokenize(text)).split(" ")
        if (apart := _spaces(clean(text), tokens)) is None:
            continue
        for number, gap in enumerate(_gaps(tokens)):
            if not _is_word(gap.sign):
                counts[gap][not apart[number], not apart[number + 1]] += 1
    return {gap: found.most_common(1)[0][0] for gap, found in sorted(counts.items())}


def _spaces(text: str, tokens: Sequence[str]) -> list[bool] | None:
    """Whether white space stands before each token, and at the end; None where the tokens are not those of the text."""
    found, at = [], 0
    for token in tokens:
        start = at
        while at < len(text) and text[at].isspace():
            at += 1
        if not token or not text.startswith(token, at):
            return None
        found.append(at > start)
        at += len(token)
    return [*found, False]


def _gaps(tokens: Sequence[str]) -> list[Gap]:
    seen: Counter[str] = Counter()
    found = []
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        sign = DENSE if _DENSE.fullmatch(token) else token
        found.append(Gap(_shape(before), sign, _shape(after), seen[token] % 2 if sign == token else 0))
        seen[token] += 1
    return found


def _shape(token: str) -> str:
    """What a neighbour is: nothing, a number, a word, or the sign itself."""
    if not token:
        return EDGE
    if token[0].isdigit():
        return "0"
    return "a" if _is_word(token) else DENSE if _DENSE.fullmatch(token) else token


def _is_word(token: str) -> bool:
    """A token of a script that has spaces between its words."""
    return _WORD.fullmatch(token) is not None and _DENSE.fullmatch(token) is None


def _most(gaps: Mapping[Gap, tuple[bool, bool]]) -> dict[Gap, tuple[bool, bool]]:
    """The cases with what is usual in the wider ones."""
    counts: defaultdict[Gap, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for (before, sign, after, side), close in gaps.items():
        wider = [Gap(before, sign, "*", side), Gap("*", sign, after, side), Gap("*", sign, "*", side)]
        wider.append(Gap("*", sign, "*", -1))
        for one in wider:
            counts[one][close] += 1
    return {**{gap: found.most_common(1)[0][0] for gap, found in counts.items()}, **gaps}


# -- by rule -----------------------------------------------------------------------------------------------------------

# What Moses writes for characters that its format needs, and the Penn Treebank for brackets and quotes.
_ESCAPES = {"&apos;": "'", "&quot;": '"', "&#124;": "|", "&#91;": "[", "&#93;": "]", "&lt;": "<", "&gt;": ">"}
_TREEBANK = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "``": '"', "''": '"'}
_CLITIC = re.compile(r"(?i)n't|'(s|m|d|re|ve|ll)|-(ce|il|elle|t|je|tu|nous|vous|ils|elles|moi|toi|le|la|les|y|en|là)")
_ELIDED = re.compile(r"(?i)([a-zà-ÿ]|qu|jusqu|lorsqu|puisqu|quoiqu|aujourd|dell|all|nell|sull|un|quest)['\u2019]")
_CLOSE = frozenset(".,;:!?)]}…%’”") | {"..."}
_OPEN = frozenset("([{¿¡“$£")
# Before these French has a space, and inside its quotes.
_HIGH = frozenset(";:!?%")


_HYPHENS = {"@-@": "-"}
_QUOTES, _DASHES = frozenset('"'), frozenset("-")


def _ruled(text: str, *, french: bool, hyphens: bool) -> str:
    tokens = [_plain(token) for token in text.split()]
    quotes: Counter[str] = Counter()
    parts: list[str] = []
    glue = True  # nothing stands before the first token
    for number, token in enumerate(tokens):
        last = tokens[number - 1] if number else ""
        after = tokens[number + 1] if number + 1 < len(tokens) else ""
        close_left, close_right = _sides(token, last, after, quotes, french=french, hyphens=hyphens)
        space = "" if glue or close_left else " "
        parts.append(space + _HYPHENS.get(token, token))
        glue = close_right
    return "".join(parts)


def _plain(token: str) -> str:
    for escaped, sign in _ESCAPES.items():
        token = token.replace(escaped, sign)
    return _TREEBANK.get(token, token).replace("&amp;", "&")


def _sides(
    token: str, last: str, after: str, quotes: Counter[str], *, french: bool, hyphens: bool
) -> tuple[bool, bool]:
    """Whether a token stands close to what is before it, and to what is behind it."""
    if token in _QUOTES:
        quotes[token] += 1
        return quotes[token] % 2 == 0, quotes[token] % 2 == 1
    if token in _HYPHENS or (token in _DASHES and not hyphens and _is_word(last) and _is_word(after)):
        return True, True
    if _CLITIC.fullmatch(token):
        return True, False
    if _ELIDED.fullmatch(token) and _is_word(after):
        return False, True
    if token in _CLOSE:
        return not (french and token in _HIGH), False
    return False, token in _OPEN
