"""CTC beam search for words by their pronunciations: units go through a tree of words, language models judge words.

Source: Hannun et al. 2014, arXiv:1408.2873, for the two numbers of a prefix; the tree of pronunciations with the best
unigram below each node as look-ahead: Ortmanns, Ney, Eiden 1996, "Language-model look-ahead for large vocabulary speech
recognition", equation 2. A word ends where the next begins, with no frame between: each way to go on is a text.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode.ctc import Emitted, first_units
from recurra.decode.fusion import Fusion, KnowsUnigrams, KnowsWords
from recurra.decode.prefix_beam import NEVER, Heard, check_beam, check_frames, emitted, log_sum, shares_of
from recurra.decode.pronunciations import Pronunciations
from recurra.decode.steps import Floats

# Histories of language models, and nats of all words that are over.
Closed = tuple[float, tuple[Any, ...]]


def word_beam(
    logits: Tensor,
    lengths: Tensor,
    words: SpokenWords,
    beam: int = 64,
    *,
    blank: int = 0,
    n_best: int = 1,
    least: float = 1e-3,
) -> list[list[Heard]]:
    """The n_best texts of each row in words, best first, each summed over its paths and its pronunciations.

    logits: (T, N, C)      lengths: (N,) frames of each row, on any device
    words: those that may be said, and what they are worth      beam: texts, as they are pronounced, that are followed
    least: a unit of less probability is not tried in a frame; 0: all are
    Where no text ends with a word, the words before are the answer. Raises as `prefix_beam`, and ShapeError for words
    of other units.
    """
    check_beam(beam, n_best, least)
    check_frames("word_beam", logits, lengths, None, blank)
    if logits.shape[2] != words.tree.num_units:
        raise ShapeError(f"word_beam: words are of {words.tree.num_units} units, and logits of {logits.shape[2]}.")
    said: Floats = logits.detach().double().log_softmax(2).transpose(0, 1).cpu().numpy()
    search = _Search(words, beam=beam, blank=blank, least=math.log(least) if least else NEVER)
    return [search.run(said[n, :length], n)[:n_best] for n, length in enumerate(lengths.tolist())]


class SpokenWords:
    """What words are worth beside their frames: language models, hot words, and the way in which they are said.

    Words that a model does not know share what it has for an unknown one, so that many do not count many times.
    ahead: of each node, what the best word below it is worth without its history, where all models can say that
    Raises ConfigError for a language model of units, and for hot words that are none.
    """

    def __init__(
        self, pronunciations: Pronunciations, fusions: Sequence[Fusion] = (), hot: Mapping[str, float] | None = None
    ) -> None:
        if any(fusion.by == "unit" for fusion in fusions):
            raise ConfigError("lm: judges units, and a lexicon with pronunciations says words; take one of words.")
        self.tree, self._fusions, self._hot = pronunciations, fusions, _finite(hot or {})
        words = pronunciations.words
        self._strange = [_strange(fusion, words) for fusion in fusions]
        self._shared = [math.log(max(len(strange), 1)) for strange in self._strange]
        self._looks = all(isinstance(fusion.scores, KnowsUnigrams) for fusion in fusions)
        self.ahead = pronunciations.best_below(self._alone) if self._looks else [0.0] * len(pronunciations)

    def with_hot(self, hot: Mapping[str, float]) -> SpokenWords:
        """The same with other hot words, which have had none: what all words are worth is not asked anew."""
        found = copy(self)
        found._hot = _finite(hot)
        found.ahead = (
            self.tree.raised(self.ahead, {word: found._alone(word) for word in hot}) if self._looks else self.ahead
        )
        return found

    def start(self) -> Closed:
        """Nothing said yet."""
        return 0.0, tuple(fusion.scores.start() for fusion in self._fusions)

    def closed(self, asked: Sequence[tuple[Closed, str, float]]) -> list[Closed]:
        """After one more word each. The last number: nats of the way in which it is said"""
        totals = [total + self._hot.get(word, 0.0) + nats for (total, _), word, nats in asked]
        histories = [list(before) for (_, before), _, _ in asked]
        for k, fusion in enumerate(self._fusions):
            answers = fusion.scores.score([(before[k], word) for (_, before), word, _ in asked])
            for i, (log_p, after) in enumerate(answers):
                totals[i] += self._nats(k, asked[i][1], log_p)
                histories[i][k] = after
        return [(total, tuple(some)) for total, some in zip(totals, histories, strict=True)]

    def ended(self, texts: Sequence[Closed]) -> list[float]:
        """What each is worth as a whole text."""
        totals = [total for total, _ in texts]
        for k, fusion in enumerate(self._fusions):
            for i, log_p in enumerate(fusion.scores.end([histories[k] for _, histories in texts])):
                totals[i] += fusion.weight * log_p if fusion.weight else 0.0
        return totals

    def _nats(self, k: int, word: str, log_p: float) -> float:
        fusion = self._fusions[k]
        if not fusion.weight:
            return fusion.bonus
        return fusion.weight * (log_p - (self._shared[k] if word in self._strange[k] else 0.0)) + fusion.bonus

    def _alone(self, word: str) -> float:
        """What a word is worth without those before it."""
        total = self._hot.get(word, 0.0)
        for k, fusion in enumerate(self._fusions):
            scores = fusion.scores
            assert isinstance(scores, KnowsUnigrams)
            total += self._nats(k, word, scores.alone(word))
        return total


def _finite(hot: Mapping[str, float]) -> dict[str, float]:
    if not all(map(math.isfinite, hot.values())):
        raise ConfigError("hot words: expected numbers of nats.")
    return dict(hot)


def _strange(fusion: Fusion, words: frozenset[str]) -> frozenset[str]:
    scores = fusion.scores
    return frozenset(w for w in words if not scores.knows(w)) if isinstance(scores, KnowsWords) else frozenset()


class _Spoken:
    """Units that were said as words. blank, other: ln p of paths up to this frame that end in a blank, or in a unit.

    node: of the word that is not over; closed: the words before it; word: the one that was over when `unit` was said
    units: the same number for the same units
    overs: once they are asked for, the words that it may be at its end, with what the text is worth then
    """

    __slots__ = (
        "blank", "children", "closed", "key", "new_blank", "new_other", "node", "other", "overs", "parent", "score",
        "total", "unit", "units", "word", "worth",
    )  # fmt: skip

    def __init__(self, parent: _Spoken | None, unit: int, node: int, closed: Closed, word: str, ahead: float) -> None:
        self.parent, self.unit, self.node, self.closed, self.word = parent, unit, node, closed, word
        self.key = (unit, word)
        self.units: int = hash((parent.units, unit)) if parent else 0  # of all units up to this one
        self.children: dict[tuple[int, str], _Spoken] = {}
        self.blank = self.other = self.new_blank = self.new_other = self.total = self.score = NEVER
        self.worth = closed[0] + ahead
        self.overs: list[tuple[str, Closed]] | None = None

    def chain(self) -> list[_Spoken]:
        """From the first unit to this one."""
        found: list[_Spoken] = []
        at = self
        while at.parent is not None:
            found.append(at)
            at = at.parent
        return found[::-1]


@dataclass(frozen=True, slots=True)
class _End:
    """A whole text: its words with the number of units of each, and what it is worth."""

    spoken: _Spoken
    words: tuple[tuple[str, int], ...]
    score: float


class _Search:
    """The search through one row after another."""

    def __init__(self, worth: SpokenWords, *, beam: int, blank: int, least: float) -> None:
        self._worth, self._tree, self._beam, self._blank, self._least = worth, worth.tree, beam, blank, least

    def run(self, said: Floats, row: int) -> list[Heard]:
        """All texts that are left, best first. said: (T, C) ln p"""
        alive = self.begin()
        for y in said:
            alive = self.after(alive, y, row)
        return self._found(self.ended(alive, row), said)

    def begin(self) -> list[_Spoken]:
        """Before the first frame."""
        root = _Spoken(None, -1, 0, self._worth.start(), "", 0.0)
        root.blank = root.total = root.score = 0.0
        root.overs = []
        return [root]

    def after(self, alive: list[_Spoken], y: Floats, row: int) -> list[_Spoken]:
        """The best after one more frame, best first. y: (C,) ln p      Raises RunError, naming the row."""
        if np.isnan(y).any():
            raise RunError(f"word_beam: row {row}: a logit is no number. Its input or its weights are not finite.")
        alive = self._pruned(self._grown(alive, y))
        if not alive:
            raise RunError(f"word_beam: row {row}: no text is possible. Lower least, or allow more words.")
        return alive

    def _grown(self, alive: list[_Spoken], y: Floats) -> list[_Spoken]:
        """All that have a path after this frame, but for new ones that cannot be among the best."""
        log_probs = y.tolist()
        tried = [(u, log_probs[u]) for u in np.flatnonzero(y >= self._least).tolist() if u != self._blank]
        met = {id(spoken): spoken for spoken in alive}
        for spoken in alive:
            spoken.new_blank = spoken.total + log_probs[self._blank]
            if spoken.parent is not None:
                spoken.new_other = spoken.other + log_probs[spoken.unit]
        lowest = min(log_sum(s.new_blank, s.new_other) + s.worth for s in alive)
        if len(alive) < self._beam:
            lowest = NEVER
        self._ask(alive)
        new: list[tuple[float, float, _Spoken, int, int, Closed, str, float]] = []
        for spoken in alive:
            for unit, log_p in tried:
                more = (spoken.blank if unit == spoken.unit else spoken.total) + log_p
                if more == NEVER:
                    continue
                for node, closed, word in self._ways(spoken, unit):
                    child = spoken.children.get((unit, word))
                    if child is not None:
                        child.new_other = log_sum(child.new_other, more)
                        met[id(child)] = child
                        continue
                    ahead = self._worth.ahead[node]
                    score = more + closed[0] + ahead
                    if score > lowest:
                        new.append((score, more, spoken, unit, node, closed, word, ahead))
        new.sort(key=_first)
        for _, more, spoken, unit, node, closed, word, ahead in new[: self._beam]:
            child = spoken.children[unit, word] = _Spoken(spoken, unit, node, closed, word, ahead)
            child.new_other = more
            met[id(child)] = child
        return _scored(list(met.values()))

    def _ways(self, spoken: _Spoken, unit: int) -> Iterator[tuple[int, Closed, str]]:
        """What a unit may be: of the word that is not over, or the first of the next, after each that it may be."""
        size, after = self._tree.num_units, self._tree.after
        node = after.get(spoken.node * size + unit)
        if node is not None:
            yield node, spoken.closed, ""
        if spoken.overs and (node := after.get(unit)) is not None:
            for word, closed in spoken.overs:
                yield node, closed, word

    def _ask(self, some: Sequence[_Spoken]) -> None:
        """What texts are worth whose last word is over, asked once, of all together."""
        new = [spoken for spoken in some if spoken.overs is None]
        asked = [(s, word, nats) for s in new for word, nats in self._tree.said(s.node)]
        for spoken in new:
            spoken.overs = []
        answers = self._worth.closed([(s.closed, word, nats) for s, word, nats in asked]) if asked else []
        for (spoken, word, _), closed in zip(asked, answers, strict=True):
            if closed[0] > NEVER:
                assert spoken.overs is not None
                spoken.overs.append((word, closed))

    def _pruned(self, met: list[_Spoken]) -> list[_Spoken]:
        """The best, and of those that nothing can tell apart any more others only where there is room."""
        ranked = sorted((s for s in met if s.score > NEVER), key=_rank)
        kept = ranked if len(ranked) <= self._beam else sorted(_varied(ranked)[: self._beam], key=_rank)
        stays = set(map(id, kept))
        for spoken in met:
            if id(spoken) not in stays:
                spoken.blank = spoken.other = spoken.total = NEVER
                _let_go(spoken, stays)
        return kept

    def ended(self, alive: Sequence[_Spoken], row: int) -> list[_End]:
        """Whole texts: those whose last word is over; if there is none, those before the word that is not.

        Raises RunError, naming the row, where none can be one.
        """
        self._ask(alive)
        whole = [(s, word, closed) for s in alive for word, closed in s.overs or ()]
        whole += [(s, "", s.closed) for s in alive if not s.node]
        if not whole:
            whole = [(s, "", s.closed) for s in alive]
        ends = self._worth.ended([closed for _, _, closed in whole])
        found = [_End(s, _words(s, word), s.total + end) for (s, word, _), end in zip(whole, ends, strict=True)]
        found = [one for one in found if one.score > NEVER]
        if not found:
            raise RunError(f"word_beam: row {row}: no text may end here. Widen the beam.")
        return found

    def _found(self, ends: Sequence[_End], said: Floats) -> list[Heard]:
        """Those that say the same words are one text, at the frames of the best of them."""
        texts: dict[tuple[str, ...], list[_End]] = {}
        for one in sorted(ends, key=lambda one: -one.score):
            texts.setdefault(tuple(word for word, _ in one.words), []).append(one)
        scores = [_sum(one.score for one in same) for same in texts.values()]
        shares, found = shares_of(scores), []
        for k, same in enumerate(texts.values()):
            nats = _sum({id(one.spoken): one.spoken.total for one in same}.values())
            best = same[0]
            found.append(Heard(self._emitted(best, said), nats, scores[k], shares[k]))
        return sorted(found, key=lambda one: -one.score)

    def _emitted(self, end: _End, said: Floats) -> Emitted:
        """The units of its words at their frames, where all are said: those that are left out were heard too."""
        units, number = [s.unit for s in end.spoken.chain()], sum(size for _, size in end.words)
        found = first_units(emitted(said, units, self._blank), number, len(said))
        return replace(found, words=end.words)


def _scored(met: list[_Spoken]) -> list[_Spoken]:
    """The frame is over: what was new is."""
    for spoken in met:
        spoken.blank, spoken.other = spoken.new_blank, spoken.new_other
        spoken.new_blank = spoken.new_other = NEVER
        spoken.total = log_sum(spoken.blank, spoken.other)
        spoken.score = spoken.total + spoken.worth
    return met


def _varied(ranked: Sequence[_Spoken]) -> list[_Spoken]:
    """First one of each that go on alike; then, of each, one of those that said the same units; then the others.

    Words that sound alike would fill a beam with one sound else.
    """
    alike: set[Hashable] = set()
    levels: tuple[list[_Spoken], ...] = ([], [], [])
    for spoken in ranked:
        ahead = (spoken.node, spoken.closed[1])
        keys = (("unit", spoken.unit, *ahead), ("units", spoken.units, *ahead))
        level = next((k for k, key in enumerate(keys) if key not in alike), 2)
        alike.update(keys)
        levels[level].append(spoken)
    return [*levels[0], *levels[1], *levels[2]]


def _words(spoken: _Spoken, last: str) -> tuple[tuple[str, int], ...]:
    """The words that are over, and the last one, with their numbers of units."""
    found: list[tuple[str, int]] = []
    size = 0
    for one in spoken.chain():
        if one.word:
            found.append((one.word, size))
            size = 0
        size += 1
    return (*found, (last, size)) if last else tuple(found)


def _sum(log_probs: Any) -> float:
    return float(np.logaddexp.reduce(list(log_probs)))


def _first(one: tuple[Any, ...]) -> float:
    return -float(one[0])


def _rank(spoken: _Spoken) -> float:
    return -spoken.score


def _let_go(spoken: _Spoken, stays: set[int]) -> None:
    """Forget one that is neither followed nor the beginning of one that is, and what is above it likewise."""
    while id(spoken) not in stays and not spoken.children and spoken.parent is not None:
        spoken.parent.children.pop(spoken.key, None)
        spoken = spoken.parent
