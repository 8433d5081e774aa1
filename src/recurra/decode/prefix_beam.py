"""CTC prefix beam search: the most probable texts, each summed over its paths, with language models beside.

Source: Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional recurrent
DNNs", arXiv:1408.2873, algorithm 1. A prefix has two numbers: of its paths that end in a blank, and of all others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode.ctc import Emitted, collapsed, first_units
from recurra.decode.fusion import Fusion
from recurra.decode.limits import at_least
from recurra.decode.steps import Floats, Ints
from recurra.decode.texts import Text, Texts

NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class Heard:
    """A text that was found. emitted: its units, at the frames of its most probable path

    nats: of all its paths that were followed, ln p      score: by which it was ranked, with language models
    share: of all texts that were left at the end, by their scores, 0..1
    """

    emitted: Emitted
    nats: float
    score: float
    share: float


def prefix_beam(
    logits: Tensor,
    lengths: Tensor,
    beam: int = 16,
    lm: Sequence[Fusion] = (),
    *,
    blank: int = 0,
    n_best: int = 1,
    spelling: Sequence[str] | None = None,
    hot: Mapping[str, float] | None = None,
    lexicon: Collection[str] | None = None,
    least: float = 1e-3,
) -> list[list[Heard]]:
    """The n_best texts of each row, best first; of equals the one that was met first.

    logits: (T, N, C)      lengths: (N,) frames of each row, on any device
    beam: texts that are followed      n_best: at most beam
    lm: language models      spelling: what each of the C units adds to a text (`Texts`)
    hot: words that are worth so many nats more      lexicon: the only words that may be said
    least: a unit of less probability is not tried in a frame; 0: all are
    Raises ConfigError for an option that is wrong, ShapeError for other shapes, RunError, naming the row, where a logit
    is no number, or where the lexicon leaves nothing to say.
    """
    check_beam(beam, n_best, least)
    check_frames("prefix_beam", logits, lengths, spelling, blank)
    texts = Texts(spelling, lm, hot, lexicon)
    said: Floats = logits.detach().double().log_softmax(2).transpose(0, 1).cpu().numpy()
    search = _Search(texts, beam=beam, n_best=n_best, blank=blank, least=math.log(least) if least else NEVER)
    return [search.run(said[n, :length], n) for n, length in enumerate(lengths.tolist())]


def check_beam(beam: int, n_best: int, least: float) -> None:
    """Raise ConfigError for options of a search that are wrong."""
    at_least("beam", beam, 1)
    at_least("n_best", n_best, 1)
    if n_best > beam:
        raise ConfigError(f"n_best: expected at most beam, which is {beam}, got {n_best}. Widen the beam.")
    if not 0 <= least < 1:
        raise ConfigError(f"least: expected a probability from 0 on and below 1, got {least}.")


def check_frames(search: str, logits: Tensor, lengths: Tensor, spelling: Sequence[str] | None, blank: int) -> None:
    """Raise ShapeError for frames of other shapes, and for units that are not all spelt."""
    if logits.dim() != 3 or lengths.shape != (logits.shape[1],):
        raise ShapeError(
            f"{search}: expected logits (T, N, C) and lengths (N,), got {tuple(logits.shape)} and "
            f"{tuple(lengths.shape)}."
        )
    C = logits.shape[2]
    if not 0 <= blank < C or (spelling is not None and len(spelling) != C):
        raise ShapeError(
            f"{search}: the blank is {blank}, and {len(spelling or ())} units are spelt; expected 0 to {C - 1}, {C}."
        )
    if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= len(logits):
        raise ShapeError(
            f"{search}: lengths from {int(lengths.min())} to {int(lengths.max())}, expected 0 to {len(logits)}."
        )


class _Prefix:
    """Units that were said. blank, other: ln p of paths up to this frame that end in a blank, or in the last unit."""

    __slots__ = ("blank", "children", "new_blank", "new_other", "other", "parent", "score", "text", "total", "unit")

    def __init__(self, parent: _Prefix | None, unit: int) -> None:
        self.parent, self.unit = parent, unit
        self.children: dict[int, _Prefix] = {}
        self.blank = self.other = self.new_blank = self.new_other = self.total = self.score = NEVER
        self.text: Text | None = None

    def units(self) -> list[int]:
        found: list[int] = []
        at = self
        while at.parent is not None:
            found.append(at.unit)
            at = at.parent
        return found[::-1]


class _Search:
    """The search through one row after another."""

    def __init__(self, texts: Texts, *, beam: int, n_best: int, blank: int, least: float) -> None:
        self._texts, self._beam, self._n_best, self._blank, self._least = texts, beam, n_best, blank, least

    def run(self, said: Floats, row: int) -> list[Heard]:
        """The best texts. said: (T, C) ln p"""
        alive = self.begin()
        for y in said:
            alive = self.after(alive, y, row)
        return self._found(alive, said, row)

    def begin(self) -> list[_Prefix]:
        """Before the first frame."""
        root = _Prefix(None, -1)
        root.blank = root.total = root.score = 0.0
        root.text = self._texts.start()
        return [root]

    def after(self, alive: list[_Prefix], y: Floats, row: int) -> list[_Prefix]:
        """The best prefixes after one more frame, best first. y: (C,) ln p      Raises RunError, naming the row."""
        if np.isnan(y).any():
            raise RunError(f"prefix_beam: row {row}: a logit is no number. Its input or its weights are not finite.")
        alive = self._pruned(self._grown(alive, y))
        if not alive:
            raise RunError(f"prefix_beam: row {row}: no text is possible. Lower least, or allow more words.")
        return alive

    def _grown(self, alive: list[_Prefix], y: Floats) -> list[_Prefix]:
        """All prefixes that have a path after this frame; those that are new come behind, unit by unit."""
        log_probs = y.tolist()
        tried = [(u, log_probs[u]) for u in np.flatnonzero(y >= self._least).tolist() if u != self._blank]
        silent = log_probs[self._blank]
        met = {id(prefix): prefix for prefix in alive}
        for prefix in alive:
            prefix.new_blank = prefix.total + silent
            if prefix.parent is not None:
                prefix.new_other = log_sum(prefix.new_other, prefix.other + log_probs[prefix.unit])
            for unit, log_p in tried:
                paths = prefix.blank if unit == prefix.unit else prefix.total
                if paths == NEVER or log_p == NEVER:
                    continue
                child = prefix.children.get(unit)
                if child is None:
                    child = prefix.children[unit] = _Prefix(prefix, unit)
                more = paths + log_p
                child.new_other = more if child.new_other == NEVER else log_sum(child.new_other, more)
                met[id(child)] = child
        return self._scored(list(met.values()))

    def _scored(self, met: list[_Prefix]) -> list[_Prefix]:
        """The frame is over: what was new is. Prefixes that cannot be are let go."""
        if self._texts.acts:
            new = [prefix for prefix in met if prefix.text is None]
            asked = [(prefix.parent.text, prefix.unit) for prefix in new if prefix.parent and prefix.parent.text]
            for prefix, text in zip(new, self._texts.longer(asked), strict=True):
                prefix.text = text
        for prefix in met:
            prefix.blank, prefix.other = prefix.new_blank, prefix.new_other
            prefix.new_blank = prefix.new_other = NEVER
            prefix.total = log_sum(prefix.blank, prefix.other)
            prefix.score = prefix.total if not self._texts.acts else self._worth(prefix)
        return met

    @staticmethod
    def _worth(prefix: _Prefix) -> float:
        return NEVER if prefix.text is None else prefix.total + prefix.text.score

    def _pruned(self, met: list[_Prefix]) -> list[_Prefix]:
        """The best; sorting is stable, so of equals the first stays."""
        ranked = sorted((p for p in met if p.score > NEVER), key=_rank)
        kept = ranked[: self._beam]
        stays = set(map(id, kept))
        for prefix in met:
            if id(prefix) not in stays:
                prefix.blank = prefix.other = prefix.total = NEVER
                _let_go(prefix, stays)
        return kept

    def _found(self, alive: list[_Prefix], said: Floats, row: int) -> list[Heard]:
        scores, left_out = self.ended(alive, row)
        units = [prefix.units() for prefix in alive]
        kept = [len(one) - number for one, number in zip(units, left_out, strict=True)]
        scores = once([tuple(one[:number]) for one, number in zip(units, kept, strict=True)], scores)
        order = [k for k in sorted(range(len(alive)), key=lambda k: -scores[k]) if scores[k] > NEVER]
        shares = shares_of(scores)
        return [
            Heard(self._emitted(said, units[k], kept[k]), alive[k].total, scores[k], shares[k])
            for k in order[: self._n_best]
        ]

    def _emitted(self, said: Floats, units: Sequence[int], number: int) -> Emitted:
        """The first units, at their frames where all are said: those that are left out were heard too."""
        return first_units(emitted(said, units, self._blank), number, len(said))

    def ended(self, alive: Sequence[_Prefix], row: int) -> tuple[list[float], list[int]]:
        """What each is worth as a whole text, and how many units are left out of it (`Texts.whole`).

        Raises RunError, naming the row, where none can be one.
        """
        ends, left_out = [0.0] * len(alive), [0] * len(alive)
        if self._texts.acts:
            ends, left_out = self._texts.whole([p.text for p in alive if p.text])
        scores = [prefix.total + end for prefix, end in zip(alive, ends, strict=True)]
        if max(scores) == NEVER:
            raise RunError(f"prefix_beam: row {row}: no text may end here. Widen the beam.")
        return scores, left_out


class PrefixStream:
    """The search of `prefix_beam` through frames that come one by one; it goes on, and never back.

    What all texts that are followed begin with cannot change any more (`agreed`), and can be forgotten: the rest goes
    on as if it were there, so the best text is at last that of all frames together, with the same bits.
    """

    def __init__(self, texts: Texts, beam: int, *, blank: int = 0, least: float = 1e-3) -> None:
        at_least("beam", beam, 1)
        self._search = _Search(texts, beam=beam, n_best=1, blank=blank, least=math.log(least) if least else NEVER)
        self._alive = self._search.begin()
        self._root = self._alive[0]
        self.left_out: tuple[int, ...] = ()  # units behind the text that `end` has left

    def feed(self, y: Floats) -> None:
        """One more frame. y: (C,) ln p"""
        self._alive = self._search.after(self._alive, y, 0)

    def best(self) -> tuple[int, ...]:
        """The units of the most probable text, but for those that were forgotten."""
        return self._units(self._alive[0])

    def agreed(self) -> int:
        """How many units all texts begin with, and will begin with at their end."""
        said = [self._units(prefix) for prefix in self._alive]
        whole = [len(u) - (p.text.open if p.text else 0) for u, p in zip(said, self._alive, strict=True)]
        return max(min(common(said), *whole), 0)

    @property
    def alone(self) -> bool:
        """Whether one text alone is followed."""
        return len(self._alive) == 1

    def forget(self, number: int) -> None:
        """Leave out the first units of the best text; texts that begin otherwise are not followed any more."""
        if not number:
            return
        chain = self._chain(self._alive[0])
        root = chain[-number]
        self._alive = [prefix for prefix in self._alive if _is_under(prefix, root)]
        above = _Prefix(None, -1)
        above.children[root.unit] = root
        root.parent, self._root = above, root

    def end(self) -> None:
        """Nothing more comes: the text that is best as a whole alone is left."""
        scores, left_out = self._search.ended(self._alive, 0)
        best = max(range(len(scores)), key=scores.__getitem__)
        chain, number = [*self._chain(self._alive[best]), self._root], left_out[best]
        self.left_out = tuple(one.unit for one in reversed(chain[:-1][:number]))
        self._alive = [chain[min(number, len(chain) - 1)]]

    def _units(self, prefix: _Prefix) -> tuple[int, ...]:
        return tuple(one.unit for one in reversed(self._chain(prefix)))

    def _chain(self, prefix: _Prefix) -> list[_Prefix]:
        """A prefix and those above it, up to what was forgotten."""
        found: list[_Prefix] = []
        at: _Prefix | None = prefix
        while at is not None and at is not self._root:
            found.append(at)
            at = at.parent
        return found


def common(texts: Sequence[tuple[int, ...]]) -> int:
    """How many units all of them begin with."""
    first, last = min(texts), max(texts)  # what these two share all between them do
    return next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _is_under(prefix: _Prefix, root: _Prefix) -> bool:
    at: _Prefix | None = prefix
    while at is not None and at is not root:
        at = at.parent
    return at is root


def _rank(prefix: _Prefix) -> float:
    return -prefix.score


def _let_go(prefix: _Prefix, stays: set[int]) -> None:
    """Forget a prefix that is neither followed nor the beginning of one that is, and what is above it likewise."""
    while id(prefix) not in stays and not prefix.children and prefix.parent is not None:
        prefix.parent.children.pop(prefix.unit, None)
        prefix = prefix.parent


def log_sum(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))


def once(texts: Sequence[tuple[int, ...]], scores: Sequence[float]) -> list[float]:
    """Scores of texts, but NEVER where a better one says the same."""
    best: dict[tuple[int, ...], int] = {}
    for k in sorted(range(len(scores)), key=lambda k: -scores[k]):
        best.setdefault(texts[k], k)
    return [score if best[texts[k]] == k else NEVER for k, score in enumerate(scores)]


def shares_of(scores: Sequence[float]) -> list[float]:
    """Of texts by their scores, 0..1."""
    found: list[float] = np.exp(np.array(scores) - np.logaddexp.reduce(scores)).tolist()
    return found


def emitted(said: Floats, units: Sequence[int], blank: int = 0) -> Emitted:
    """Units at the frames of their most probable path. said: (T, C) ln p; there is a path (`frames_needed`)."""
    path = best_path(said, units, blank)
    return collapsed(path, np.exp(said[np.arange(len(path)), path]), blank)


def best_path(said: Floats, units: Sequence[int], blank: int = 0) -> Ints:
    """(T,) the most probable path that says these units (forced alignment); of equals the one that stays longer.

    Beside `said` it takes a byte for each frame and state: 2 T U.
    """
    T, labels = len(said), np.full(2 * len(units) + 1, blank)
    labels[1::2] = units
    skips = np.zeros(len(labels), dtype=bool)
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    best, came = np.full((3, len(labels)), NEVER), np.zeros((T, len(labels)), dtype=np.int8)
    now = np.full(len(labels), NEVER)
    now[0] = 0.0  # before the first frame, in the first blank
    for t in range(T):
        best[0], best[1, 1:], best[2, 2:] = now, now[:-1], np.where(skips[2:], now[:-2], NEVER)
        came[t] = best.argmax(0)
        now = best.max(0) + said[t, labels]
    state = len(labels) - 1 - (len(units) > 0 and now[-2] > now[-1])
    path = np.zeros(T, dtype=np.int64)
    for t in reversed(range(T)):
        path[t] = labels[state]
        state -= came[t, state]
    return path
