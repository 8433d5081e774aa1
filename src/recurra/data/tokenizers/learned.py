"""Cuts that are learned from a file's own tokens: don't -> do n't, l'eau -> l' eau, Mr. and U.S. in one piece.

A text is cut as finely as by `cutting.words`: runs of letters, of digits, signs. Where two of these pieces touch, and
where a word may end in a token of its own (n't, not), a linear model says whether the file would cut there; its
features are the pieces on both sides and their shapes. An averaged perceptron (Freund & Schapire 1999) learns it.
Words that the file writes otherwise than its text (du for de le) are a table. All of it is data: numbers and texts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from recurra.data.tokenizers.cutting import Place, spaces, words

# More of a piece is not looked at.
LONGEST = 12
# Kept of what was learned: features with the largest weights, endings, words that stand for several.
MOST_FEATURES, MOST_ENDINGS, MOST_WORDS = 20_000, 300, 2_000
# Passes over the places to learn from, and how many of these are looked at.
PASSES, MOST_PLACES = 5, 100_000
QUOTE = ('"',)
# Tokens that touch the one behind them, and those that touch the one before.
_OPENS = re.compile(r"[(\[{«“‘$£€#¿¡]|[^\W\d_]{1,8}['’]")
_FOLLOWS = re.compile(r"[.,;:!?%)\]}»”]+|['’][^\W\d_]{1,4}|[nN]['’][tT]|\.\.\.")
# An ending is learned if so many words have it.
LEAST = 3


class Unit(NamedTuple):
    """A stretch of a text without white space inside, and its tokens. space: whether white space follows."""

    text: str
    tokens: tuple[str, ...]
    space: bool


Cuts = Callable[[str], tuple[list[str], list[Place]]]


class Edge(NamedTuple):
    """Where two pieces touch. place: in the text      inside: within a run of letters      features: of both sides"""

    place: int
    inside: bool
    features: tuple[str, ...]


class Learned:
    """Cuts texts as a file does. weights: by feature, above 0 for a cut

    endings: of words, in lower case, with what follows them: ("n", "'t")      words: in lower case -> their tokens
    """

    def __init__(
        self, weights: Mapping[str, float], endings: Iterable[tuple[str, str]], words: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.weights, self.words = dict(weights), dict(words)
        self.endings: dict[str, list[str]] = defaultdict(list)
        for ending, rest in endings:
            self.endings[ending].append(rest)

    def __call__(self, text: str) -> tuple[list[str], list[Place]]:
        """Tokens, and the places that they have in the text; tokens of one word of the text share its place."""
        tokens, places = [], []
        for start, end in self.cut(text):
            for token in self._spelt(text[start:end]):
                tokens.append(token)
                places.append((start, end))
        return tokens, places

    def cut(self, text: str) -> list[Place]:
        """Where the words of the text stand."""
        found = []
        for start, end in spaces(text):
            cuts, cut = [start], True
            for edge in edges(text, start, end, self.endings):
                cut = self._cuts(edge, cut)
                if cut:
                    cuts.append(edge.place)
            found += list(pairwise([*cuts, end]))
        return found

    def _cuts(self, edge: Edge, before: bool) -> bool:
        score = sum(self.weights.get(feature, 0.0) for feature in (*edge.features, _memory(edge, before)))
        return score > 0 if edge.inside else score >= 0

    def _spelt(self, word: str) -> Sequence[str]:
        found = self.words.get(word.lower()) if len(word) <= LONGEST else None
        if found is None:
            return (word,)
        return (found[0][:1].upper() + found[0][1:], *found[1:]) if word[:1].isupper() else found

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        endings = [[ending, rest] for ending, rests in self.endings.items() for rest in rests]
        return {"weights": self.weights, "endings": endings, "words": {k: list(v) for k, v in self.words.items()}}


def learned_from_json(data: Mapping[str, Any]) -> Learned:
    """The opposite of `Learned.to_json`. Raises KeyError, TypeError or ValueError for what is none."""
    weights, endings, words = data["weights"], data["endings"], data["words"]
    if len(weights) > MOST_FEATURES or len(endings) > MOST_ENDINGS or len(words) > MOST_WORDS:
        raise ValueError("more rules than are ever learned")
    if not all(type(value) in (int, float) and abs(value) < 1e6 for value in weights.values()):
        raise ValueError("weights that are no numbers")
    pairs = [(ending, rest) for ending, rest in endings]
    tables = [tokens for tokens in words.values() if isinstance(tokens, list) and 0 < len(tokens) <= LONGEST]
    texts = [*(part for pair in pairs for part in pair), *(token for tokens in tables for token in tokens)]
    if len(tables) != len(words) or not all(isinstance(text, str) and len(text) <= 100 for text in texts):
        raise ValueError("endings or words that are no texts")
    return Learned(weights, pairs, {word: tuple(tokens) for word, tokens in words.items()})


def learn(sentences: Iterable[Sequence[Unit]]) -> Learned:
    """The cuts of these sentences."""
    rows = list(sentences)
    table = _words(rows)
    texts = [_text_and_cuts(row) for row in rows]
    endings = _endings(texts)
    by_ending: dict[str, list[str]] = defaultdict(list)
    for ending, rest in endings:
        by_ending[ending].append(rest)
    return Learned(_perceptron(_examples(texts, by_ending)), endings, table)


def guessed_units(tokens: Sequence[str]) -> list[Unit]:
    """Tokens whose text is not known, set as a printer would: no space before a comma, behind l' or inside do n't."""
    found: list[Unit] = []
    quoted = False
    for token, after in zip(tokens, [*tokens[1:], " "], strict=True):
        is_quote = token in QUOTE
        quoted ^= is_quote
        closes = after in QUOTE and quoted and not is_quote
        open_ = (is_quote and quoted) or bool(_OPENS.fullmatch(token))
        found.append(Unit(token, (token,), not (open_ or closes or _FOLLOWS.fullmatch(after))))
    return found


def found_share(cut: Cuts, sentences: Iterable[Sequence[Unit]]) -> float:
    """The share of the sentences' tokens that are cut out of their text, at the same place, 0..1; 1 of none."""
    right = total = 0
    for units in sentences:
        text, gold = "", Counter[tuple[str, int]]()
        for unit in units:
            at = len(text)
            offset = 0
            whole = "".join(unit.tokens) == unit.text
            for token in unit.tokens:
                gold[token, at + (offset if whole else 0)] += 1
                offset += len(token)
            text += unit.text + (" " if unit.space else "")
        tokens, places = cut(text)
        said = Counter((token, start) for token, (start, _) in zip(tokens, places, strict=True))
        right, total = right + (said & gold).total(), total + gold.total()
    return right / total if total else 1.0


def edges(text: str, start: int, end: int, endings: Mapping[str, Sequence[str]]) -> Iterator[Edge]:
    """The places of one run without white space where a cut may be."""
    pieces = [(start + one, start + other) for one, other in words(text[start:end])]
    if len(pieces) == 1 and not _ending(text, *pieces[0], endings):
        return
    parts: list[tuple[int, int, str]] = []  # start, end, and the ending that begins here
    for one, other in pieces:
        at = _ending(text, one, other, endings)
        if at:
            parts += [(one, at, ""), (at, other, text[at:other].lower())]
        else:
            parts.append((one, other, ""))
    lows = ["", *(text[one : min(other, one + LONGEST)].lower() for one, other, _ in parts), "", ""]
    shapes = ["", *(_shape(text[one : min(other, one + LONGEST)]) for one, other, _ in parts), "", ""]
    kind = _kind(text, start, end)
    last = "$" if end == len(text) else ""
    for k in range(1, len(parts)):
        place, _, ending = parts[k]
        yield Edge(place, bool(ending), _features(lows, shapes, k, kind, last, ending))


def _examples(
    texts: Sequence[tuple[str, frozenset[int]]], endings: Mapping[str, Sequence[str]]
) -> list[tuple[tuple[str, ...], bool, bool]]:
    """What differs among the edges of these texts: features, whether it is inside, and what is mostly done there."""
    cuts_of: dict[tuple[tuple[str, ...], bool], int] = defaultdict(int)
    for text, cuts in texts:
        for start, end in spaces(text):
            before = True
            for edge in edges(text, start, end, endings):
                cut = edge.place in cuts
                cuts_of[(*edge.features, _memory(edge, before)), edge.inside] += 1 if cut else -1
                before = cut
        if len(cuts_of) > MOST_PLACES:
            break
    return [(features, inside, more > 0) for (features, inside), more in cuts_of.items() if more]


def _features(lows: Sequence[str], shapes: Sequence[str], k: int, kind: str, last: str, ending: str) -> tuple[str, ...]:
    """Of the edge between piece k and piece k + 1."""
    (before, one, other, after), (two, left, right, three) = _around(lows, k), _around(shapes, k)
    return (
        f"a {one} {other}",
        f"b {one} {right}",
        f"c {left} {other}",
        f"d {two} {left} {right} {three}",
        f"e {one} {other} {two} {three}",
        f"f {other} {after}",
        f"g {before} {one}",
        f"h {kind} {left} {right}",
        f"i {left} {other} {three} {last if not after else ''}",
        f"j {one} {other} {after}",
        f"k {before} {one} {other}",
        f"l {kind} {other}",
        f"m {ending} {one}",
        f"n {ending} {after}",
    )


def _around(values: Sequence[str], k: int) -> tuple[str, str, str, str]:
    return values[k - 1], values[k], values[k + 1], values[k + 2]


def _memory(edge: Edge, before: bool) -> str:
    """What was done at the edge before goes on: an address is not cut at its second dot either."""
    return f"{'cut' if before else 'kept'} {edge.features[3]}"


def _shape(piece: str) -> str:
    if piece[0].isdigit():
        return f"9{min(len(piece), 4)}"
    if not piece[0].isalpha():
        return piece[:2]
    case = "A" if piece.isupper() else "a" if piece.islower() else "Aa"
    return f"{case}{min(len(piece), 2)}"


def _kind(text: str, start: int, end: int) -> str:
    """What a run without white space looks like: an address, a number, or anything."""
    head = text[start : min(end, start + 200)]
    if "://" in head or head.lower().startswith("www."):
        return "url"
    if "@" in head[1:-1] and "." in head:
        return "mail"
    return "number" if any(map(str.isdigit, head)) else "word"


def _ending(text: str, start: int, end: int, endings: Mapping[str, Sequence[str]]) -> int:
    """Where an ending of a run of letters begins; 0 where it has none.

    One that goes on behind the run comes first (n't of don't, not on of don), then the longest.
    """
    if not endings or not text[start].isalpha():
        return 0
    found = 0
    for at in range(max(start + 1, end - LONGEST), end):
        for rest in endings.get(text[at:end].lower(), ()):
            if rest and text[end : end + len(rest)].lower() == rest:
                return at
            if not rest:
                found = found or at
    return found


def _text_and_cuts(units: Sequence[Unit]) -> tuple[str, frozenset[int]]:
    """A sentence's text, and where its words begin; words that are spelt otherwise are left whole."""
    text, cuts = "", set()
    for unit in units:
        at = len(text)
        cuts.add(at)
        if "".join(unit.tokens) == unit.text:
            for token in unit.tokens:
                cuts.add(at)
                at += len(token)
        text += unit.text + (" " if unit.space else "")
    return text, frozenset(cuts)


def _words(rows: Sequence[Sequence[Unit]]) -> dict[str, tuple[str, ...]]:
    """Words of the text that stand for other tokens, more often than not."""
    seen: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for unit in (unit for row in rows for unit in row):
        if len(unit.text) <= LONGEST and len(unit.tokens) <= LONGEST:
            seen[unit.text.lower()][tuple(map(str.lower, unit.tokens))] += 1
    best = {word: counts.most_common(1)[0] for word, counts in seen.items()}
    strange = {word: found for word, found in best.items() if "".join(found[0]) != word}
    kept = sorted(strange, key=lambda word: (-strange[word][1], word))[:MOST_WORDS]
    return {word: strange[word][0] for word in kept}


def _endings(texts: Sequence[tuple[str, frozenset[int]]]) -> list[tuple[str, str]]:
    """Tokens that begin inside a run of letters: the letters, and what follows them in the token."""
    counts: Counter[tuple[str, str]] = Counter()
    for text, cuts in texts:
        for start, end in words(text):
            inner = [at for at in cuts if start < at < end] if end - start > 1 else []
            for at in inner[:1]:
                stop = min((cut for cut in cuts if cut > at), default=len(text))
                token = text[at:stop].rstrip()
                if stop >= end and end - at < LONGEST and len(token) <= LONGEST:
                    counts[token[: end - at].lower(), token[end - at :].lower()] += 1
    return [pair for pair, count in counts.most_common(MOST_ENDINGS) if count >= LEAST]


def _perceptron(examples: Sequence[tuple[tuple[str, ...], bool, bool]]) -> dict[str, float]:
    """Weights by feature: those after each step, on average."""
    now: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    step = 1
    for _ in range(PASSES):
        for features, inside, cut in examples:
            score = sum(now[feature] for feature in features)
            if (score > 0 if inside else score >= 0) != cut:
                change = 1.0 if cut else -1.0
                for feature in features:
                    now[feature] += change
                    total[feature] += change * step
            step += 1
    means = {feature: round(value - total[feature] / step, 3) for feature, value in now.items()}
    kept = sorted((feature for feature in means if means[feature]), key=lambda f: (-abs(means[f]), f))
    return {feature: means[feature] for feature in kept[:MOST_FEATURES]}
