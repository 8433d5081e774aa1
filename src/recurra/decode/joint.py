"""Attention and CTC in one search: a text is worth a share of each.

Source: Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", section IV.C,
algorithm 2; the probability of CTC that a text begins so is Graves 2008, section 7.5.1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np
from torch import Tensor

from recurra.base.errors import ConfigError, RunError
from recurra.decode.ctc import first_units
from recurra.decode.fusion import Fusion
from recurra.decode.limits import at_least
from recurra.decode.prefix_beam import NEVER, Heard, emitted, once, shares_of
from recurra.decode.reading import Read, Reading
from recurra.decode.steps import Floats, Ints, S, Steps
from recurra.decode.texts import Text, Texts

# Units that a text is tried with: the most probable ones by attention, so many times the beam, and at least so many.
TIMES, LEAST = 2, 64


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Texts as CTC has them. units, blanks: (T, B) ln p of paths up to each frame that end in the last unit, a blank

    last: (B,) the last unit, -1 where nothing was said
    """

    units: Floats
    blanks: Floats
    last: Ints

    @classmethod
    def first(cls, y: Floats, blank: int) -> Prefixes:
        """Nothing said yet. y: (T, C) ln p of the frames"""
        return cls(np.full((len(y), 1), NEVER), np.cumsum(y[:, blank])[:, None], np.array([-1]))

    def whole(self) -> Floats:
        """(B,) ln p that a text is all."""
        found: Floats = np.logaddexp(self.units[-1], self.blanks[-1])
        return found

    def longer(self, y: Floats, parents: Ints, units: Ints, blank: int) -> tuple[Prefixes, Floats]:
        """Texts of the parents (K,) with one more unit (K,), and ln p that a text begins so (K,)."""
        before, said = self.last[parents], y[:, units]
        same = np.where(before == units, NEVER, self.units[:, parents])
        # Paths up to a frame after which the unit may begin.
        begins = np.logaddexp(self.blanks[:, parents], same)
        first = np.where(before < 0, said[0], NEVER)
        now, after = np.empty_like(said), np.empty_like(said)
        now[0], after[0] = first, NEVER
        for t in range(1, len(y)):
            now[t] = np.logaddexp(now[t - 1], begins[t - 1]) + said[t]
            after[t] = np.logaddexp(after[t - 1], now[t - 1]) + y[t, blank]
        starts = np.concatenate([first[None], begins[:-1] + said[1:]])
        return Prefixes(now, after, units), np.logaddexp.reduce(starts, 0)

    def some(self, rows: Ints) -> Prefixes:
        """The texts (K,), in this order."""
        return Prefixes(self.units[:, rows], self.blanks[:, rows], self.last[rows])


@dataclass(frozen=True, slots=True)
class _Said(Generic[S]):
    """A text so far. attention: ln p of each unit; ctc: ln p that a text begins so; kept: units it has, None: all"""

    units: tuple[int, ...]
    attention: tuple[float, ...]
    ctc: float
    read: Read[S]
    text: Text
    kept: int | None = None

    def nats(self, share: float) -> float:
        return share * self.ctc + (1 - share) * sum(self.attention)


def joint_beam(
    steps: Steps[S],
    states: Sequence[S | None],
    logits: Tensor,
    lengths: Tensor,
    share: float,
    beam: int = 8,
    lm: Sequence[Fusion] = (),
    *,
    blank: int = 0,
    n_best: int = 1,
    spelling: Sequence[str] | None = None,
    hot: Mapping[str, float] | None = None,
    lexicon: Collection[str] | None = None,
) -> list[list[Heard]]:
    """The n_best texts of each row, best first: share * ln p of CTC and the rest of attention, and what is beside.

    steps: the decoder; `blank` stands for begin and end of a text      states: one row each; None: a row without frames
    logits: (T, N, C) of CTC      lengths: (N,) frames of each row      share: of CTC, above 0 and below 1
    A text that ends takes its place of the beam with it, and a beam of 1 is greedy. Units stand where CTC's most
    probable path says them, and are as sure as attention is. Other options, and what is raised, are those of
    `prefix_beam`.
    """
    at_least("beam", beam, 1)
    at_least("n_best", n_best, 1)
    if n_best > beam:
        raise ConfigError(f"n_best: expected at most beam, which is {beam}, got {n_best}. Widen the beam.")
    if not 0 < share < 1:
        raise ConfigError(f"share: expected a number above 0 and below 1, got {share}.")
    texts = Texts(spelling, lm, hot, lexicon)
    said: Floats = logits.detach().double().log_softmax(2).transpose(0, 1).cpu().numpy()
    search = _Search(steps, texts, logits.device, beam=beam, blank=blank, share=share)
    return [
        search.run(said[n, :length], state, n)[:n_best]
        for n, (length, state) in enumerate(zip(lengths.tolist(), states, strict=True))
    ]


class _Search(Generic[S]):
    """The search through one row after another."""

    def __init__(self, steps: Steps[S], texts: Texts, device: object, *, beam: int, blank: int, share: float) -> None:
        self._steps, self._texts, self._device = steps, texts, device
        self._beam, self._blank, self._share = beam, blank, share

    def run(self, y: Floats, state: S | None, row: int) -> list[Heard]:
        """All texts that ended, best first. y: (T, C) ln p"""
        if np.isnan(y).any():
            raise RunError(f"joint: row {row}: a logit is no number. Its input or its weights are not finite.")
        if state is None or not len(y):
            return [Heard(emitted(y, (), self._blank), 0.0, 0.0, 1.0)]
        reading = Reading(self._steps, state, _rows, self._device)  # type: ignore[arg-type]
        alive: list[_Said[S]] = [_Said((), (), 0.0, Read(self._blank), self._texts.start())]
        prefixes, closed = Prefixes.first(y, self._blank), list[tuple[float, _Said[S]]]()
        for _ in range(len(y) + 1):
            reading.read([said.read for said in alive])
            ended = self._ended(alive, prefixes)
            grown, longer = self._longer(alive, prefixes, y)
            ranked = sorted(
                [(-score, 0, k) for k, (score, _) in enumerate(ended) if score > NEVER]
                + [(-score, 1, k) for k, score in enumerate(self._scores(grown)) if score > NEVER]
            )[: self._beam - len(closed)]
            closed += [ended[k] for _, over, k in ranked if not over]
            kept = np.array([k for _, over, k in ranked if over], dtype=np.int64)
            if not len(kept):
                break
            alive, prefixes = [grown[k] for k in kept], longer.some(kept)
        return self._found(closed or self._whole(alive, prefixes), y, row)

    def _scores(self, found: Sequence[_Said[S]]) -> list[float]:
        return [said.nats(self._share) + said.text.score for said in found]

    def _whole(self, alive: Sequence[_Said[S]], prefixes: Prefixes) -> list[tuple[float, _Said[S]]]:
        """Where no text ended: each without the word that is not over, with its score (`Texts.whole`)."""
        ends, left_out = self._texts.whole([said.text for said in alive])
        scores, whole = zip(*self._with(ends, alive, prefixes), strict=True)
        found = [replace(said, kept=len(said.units) - n) for said, n in zip(whole, left_out, strict=True)]
        different = once([said.units[: said.kept] for said in found], scores)
        return [(score, said) for score, said in zip(different, found, strict=True) if score > NEVER]

    def _ended(self, alive: Sequence[_Said[S]], prefixes: Prefixes) -> list[tuple[float, _Said[S]]]:
        """Each text as a whole, with its score."""
        ends = self._texts.ended([said.text for said in alive]) if self._texts.acts else [0.0] * len(alive)
        return self._with(ends, alive, prefixes)

    def _with(
        self, ends: Sequence[float], alive: Sequence[_Said[S]], prefixes: Prefixes
    ) -> list[tuple[float, _Said[S]]]:
        whole = [
            replace(said, attention=(*said.attention, float(said.read.value[self._blank])), ctc=float(ctc))
            for said, ctc in zip(alive, prefixes.whole(), strict=True)
        ]
        return [(said.nats(self._share) + end, said) for said, end in zip(whole, ends, strict=True)]

    def _longer(self, alive: Sequence[_Said[S]], prefixes: Prefixes, y: Floats) -> tuple[list[_Said[S]], Prefixes]:
        """Each text with each of the units that attention finds most probable."""
        asked = [(k, unit) for k, said in enumerate(alive) for unit in self._tried(said.read.value)]
        parents, units = np.array(asked, dtype=np.int64).reshape(-1, 2).T
        longer, ctc = prefixes.longer(y, parents, units, self._blank)
        texts: Sequence[Text | None] = [alive[k].text for k in parents]
        if self._texts.acts:
            texts = self._texts.longer([(alive[k].text, unit) for k, unit in asked])
        grown, kept = [], []
        for place, ((k, unit), text) in enumerate(zip(asked, texts, strict=True)):
            if text is not None:
                said, log_p = alive[k], float(alive[k].read.value[unit])
                grown.append(
                    _Said((*said.units, unit), (*said.attention, log_p), float(ctc[place]), Read(unit, said.read), text)
                )
                kept.append(place)
        return grown, longer.some(np.array(kept, dtype=np.int64))

    def _tried(self, log_probs: Floats) -> list[int]:
        order = np.argsort(-log_probs, kind="stable")[: max(LEAST, TIMES * self._beam) + 1]
        return [int(u) for u in order if u != self._blank and log_probs[u] > NEVER]

    def _found(self, closed: list[tuple[float, _Said[S]]], y: Floats, row: int) -> list[Heard]:
        if not closed:
            raise RunError(f"joint: row {row}: no text may end here. Widen the beam.")
        shares = shares_of([score for score, _ in closed])
        order = sorted(range(len(closed)), key=lambda k: -closed[k][0])
        return [self._heard(*closed[k], shares[k], y) for k in order]

    def _heard(self, score: float, said: _Said[S], share: float, y: Floats) -> Heard:
        kept = len(said.units) if said.kept is None else said.kept
        one = first_units(emitted(y, said.units, self._blank), kept, len(y))
        sure = tuple(np.exp(said.attention[:kept]).tolist())
        return Heard(replace(one, probabilities=sure), said.nats(self._share), score, share)


def _rows(log_probs: Tensor) -> list[Floats]:
    return list(log_probs.double().cpu().numpy())
