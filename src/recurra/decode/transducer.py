"""From a transducer to units: each frame says as many as come, given those that were said before.

The search goes frame by frame, and in each unit by unit (Graves 2012, arXiv:1211.3711, section 2.4). It is given the
network that reads units, as `Steps` whose step says a vector, and a function that joins a frame with such a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias

import numpy as np
import torch
from torch import Tensor

from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode.ctc import Emitted
from recurra.decode.fusion import Fusion
from recurra.decode.limits import at_least
from recurra.decode.prefix_beam import NEVER, Heard, common, log_sum, once, shares_of
from recurra.decode.reading import Read, Reading
from recurra.decode.steps import Floats, S, Steps
from recurra.decode.texts import Text, Texts

# Frames (B, D) and vectors (B, D) to ln p (B, V), or to logits: they are normalised here.
Joint: TypeAlias = Callable[[Tensor, Tensor], Tensor]
# Frames that are joined with one vector at once: mostly they say nothing, and the vector stays.
AHEAD = 16


@dataclass(frozen=True, slots=True)
class Network(Generic[S]):
    """What a search asks. steps: the network that reads units      state: one row, before `start` is read"""

    steps: Steps[S]
    state: S
    joint: Joint
    start: int = 0
    blank: int = 0

    def reading(self, device: torch.device) -> Reading[S]:
        """Reads units as vectors."""
        return Reading(self.steps, self.state, list, device)

    def first(self) -> Read[S]:
        """Before the first unit."""
        return Read(self.start)

    def log_probs(self, frames: Tensor, vectors: Tensor, row: int) -> Floats:
        """(B, V). Raises RunError, naming the row, where a logit is no number."""
        with torch.no_grad():
            found: Floats = self.joint(frames, vectors).double().log_softmax(1).cpu().numpy()
        if np.isnan(found).any():
            raise RunError(f"transducer: row {row}: a logit is no number. Its input or its weights are not finite.")
        return found


def transducer_greedy(frames: Tensor, lengths: Tensor, network: Network[S], *, most: int = 10) -> list[Emitted]:
    """The most probable unit of each frame, again and again until it is the blank, or `most` were said in it.

    frames: (T, N, D)      lengths: (N,) frames of each row, on any device
    Raises ConfigError for `most` below 1, ShapeError for other shapes, RunError for logits that are no numbers.
    """
    _check(frames, lengths, most)
    return [_greedy(frames[:length, n], n, network, most) for n, length in enumerate(lengths.tolist())]


def _greedy(frames: Tensor, row: int, network: Network[S], most: int) -> Emitted:
    return emitted_at(spoken_on(frames, network, network.first(), row=row, most=most)[0], len(frames))


def spoken_on(
    frames: Tensor, network: Network[S], said: Read[S], *, row: int, most: int = 10
) -> tuple[list[tuple[int, int, float]], Read[S]]:
    """Units with the frame that says them and their probabilities, and all that was said. frames: (T, D); said: before

    Frame by frame, so that pieces of a row say what the whole says.
    """
    reading = network.reading(frames.device)
    units: list[tuple[int, int, float]] = []
    t = here = 0
    while t < len(frames):
        reading.read([said])
        some = frames[t : t + AHEAD]
        log_probs = network.log_probs(some, said.value.expand(len(some), -1), row)
        best = log_probs.argmax(1)
        speaks = np.flatnonzero(best != network.blank)
        if not len(speaks):
            t, here = t + len(some), 0
            continue
        k = int(speaks[0])
        here = here if k == 0 else 0
        t += k
        units.append((int(best[k]), t, math.exp(log_probs[k, best[k]])))
        said, here = Read(int(best[k]), before=said), here + 1
        if here == most:
            t, here = t + 1, 0
    return units, said


def emitted_at(units: Sequence[tuple[int, int, float]], frames: int) -> Emitted:
    """Units with the frame that says them, and their probabilities."""
    numbers, at, sure = zip(*units, strict=True) if units else ((), (), ())
    return Emitted(tuple(numbers), tuple(at), tuple(t + 1 for t in at), tuple(sure), frames - len(set(at)), frames)


@dataclass(frozen=True, slots=True)
class _Said(Generic[S]):
    """Units that were said. nats: ln p of all ways; best: of the most probable one, and the frames and ln p of units"""

    units: tuple[int, ...]
    nats: float
    best: float
    places: tuple[tuple[int, float], ...]
    read: Read[S]
    text: Text

    @property
    def score(self) -> float:
        return self.nats + self.text.score


def transducer_beam(
    frames: Tensor,
    lengths: Tensor,
    network: Network[S],
    beam: int = 8,
    lm: Sequence[Fusion] = (),
    *,
    n_best: int = 1,
    most: int = 4,
    spelling: Sequence[str] | None = None,
    hot: Mapping[str, float] | None = None,
    lexicon: Collection[str] | None = None,
) -> list[list[Heard]]:
    """The n_best texts of each row, best first, each summed over all ways that were followed.

    most: units that a frame says at most      other options, and what is raised, are those of `prefix_beam`
    """
    at_least("beam", beam, 1)
    at_least("n_best", n_best, 1)
    if n_best > beam:
        raise ConfigError(f"n_best: expected at most beam, which is {beam}, got {n_best}. Widen the beam.")
    _check(frames, lengths, most)
    texts = Texts(spelling, lm, hot, lexicon)
    search = _Search(network, texts, beam=beam, most=most)
    return [search.run(frames[:length, n], n)[:n_best] for n, length in enumerate(lengths.tolist())]


def _check(frames: Tensor, lengths: Tensor, most: int) -> None:
    at_least("most", most, 1)
    if frames.dim() != 3 or lengths.shape != (frames.shape[1],):
        raise ShapeError(
            f"transducer: expected frames (T, N, D) and lengths (N,), got {tuple(frames.shape)} and "
            f"{tuple(lengths.shape)}."
        )
    if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= len(frames):
        raise ShapeError(
            f"transducer: lengths from {int(lengths.min())} to {int(lengths.max())}, expected 0 to {len(frames)}."
        )


class _Search(Generic[S]):
    """The search through one row after another."""

    def __init__(self, network: Network[S], texts: Texts, *, beam: int, most: int) -> None:
        self._network, self._texts, self._beam, self._most = network, texts, beam, most

    def run(self, frames: Tensor, row: int) -> list[Heard]:
        """All texts that are left at the end, best first."""
        reading, alive = self._network.reading(frames.device), self.begin()
        for t in range(len(frames)):
            alive = self.after(alive, frames[t], t, reading, row)
        return self._found(alive, len(frames), row)

    def begin(self) -> list[_Said[S]]:
        """Before the first frame."""
        return [_Said((), 0.0, 0.0, (), self._network.first(), self._texts.start())]

    def after(self, alive: list[_Said[S]], frame: Tensor, t: int, reading: Reading[S], row: int) -> list[_Said[S]]:
        """The best texts after one more frame (D,), best first. Raises RunError, naming the row."""
        alive = self._best(self._frame(alive, frame, t, reading, row))
        if not alive:
            raise RunError(f"transducer: row {row}: no text is possible. Allow more words, or widen the beam.")
        return alive

    def _frame(self, alive: list[_Said[S]], frame: Tensor, t: int, reading: Reading[S], row: int) -> list[_Said[S]]:
        """Texts whose frame is over, by what they say; so many units deep as a frame may say."""
        over: dict[tuple[int, ...], _Said[S]] = {}
        for depth in range(self._most + 1):
            reading.read([said.read for said in alive])
            vectors = torch.stack([said.read.value for said in alive])
            log_probs = self._network.log_probs(frame.expand(len(alive), -1), vectors, row)
            for said, y in zip(alive, log_probs, strict=True):
                _add(over, said, float(y[self._network.blank]))
            alive = [] if depth == self._most else self._best(self._longer(alive, log_probs, t))
            if not alive:
                break
        return list(over.values())

    def _longer(self, alive: Sequence[_Said[S]], log_probs: Floats, t: int) -> list[_Said[S]]:
        """Each text with each of its most probable units; more than the beam has of one cannot stay."""
        asked = [
            (said, unit, float(y[unit])) for said, y in zip(alive, log_probs, strict=True) for unit in self._units(y)
        ]
        texts: Sequence[Text | None] = [said.text for said, _, _ in asked]
        if self._texts.acts:
            texts = self._texts.longer([(said.text, unit) for said, unit, _ in asked])
        return [
            _Said(
                (*said.units, unit), said.nats + y, said.best + y, (*said.places, (t, y)), Read(unit, said.read), text
            )
            for (said, unit, y), text in zip(asked, texts, strict=True)
            if text is not None
        ]

    def _units(self, y: Floats) -> Iterator[int]:
        """All that may be said, or without texts the most probable ones."""
        order = np.argsort(-y, kind="stable")
        keep = len(y) if self._texts.acts else self._beam + 1
        return (int(u) for u in order[:keep] if u != self._network.blank and y[u] > NEVER)

    def _best(self, found: list[_Said[S]]) -> list[_Said[S]]:
        return sorted((said for said in found if said.score > NEVER), key=lambda said: -said.score)[: self._beam]

    def _found(self, alive: Sequence[_Said[S]], frames: int, row: int) -> list[Heard]:
        scores, whole = self.ended(alive, row)
        scores = once([said.units for said in whole], scores)
        order = [k for k in sorted(range(len(alive)), key=lambda k: -scores[k]) if scores[k] > NEVER]
        shares = shares_of(scores)
        return [Heard(_of(whole[k], frames), alive[k].nats, scores[k], shares[k]) for k in order]

    def ended(self, alive: Sequence[_Said[S]], row: int) -> tuple[list[float], list[_Said[S]]]:
        """What each is worth as a whole text, and these (`Texts.whole`).

        Raises RunError, naming the row, where none can be one.
        """
        ends, left_out = [0.0] * len(alive), [0] * len(alive)
        if self._texts.acts:
            ends, left_out = self._texts.whole([said.text for said in alive])
        scores = [said.nats + end for said, end in zip(alive, ends, strict=True)]
        if max(scores) == NEVER:
            raise RunError(f"transducer: row {row}: no text may end here. Widen the beam.")
        return scores, [_shortened(said, number) for said, number in zip(alive, left_out, strict=True)]


class TransducerStream(Generic[S]):
    """The search of `transducer_beam` through frames that come one by one, as `PrefixStream` has it for CTC."""

    def __init__(self, network: Network[S], texts: Texts, beam: int, device: torch.device, *, most: int = 4) -> None:
        at_least("beam", beam, 1)
        self._search = _Search(network, texts, beam=beam, most=most)
        self._reading = network.reading(device)
        self._alive = self._search.begin()

    def feed(self, frame: Tensor, t: int) -> None:
        """One more frame (D,), of number t."""
        self._alive = self._search.after(self._alive, frame, t, self._reading, 0)

    def best(self) -> tuple[tuple[int, int, float], ...]:
        """The units of the most probable text, with their frames and probabilities, but for those forgotten."""
        said = self._alive[0]
        return tuple((unit, t, math.exp(y)) for unit, (t, y) in zip(said.units, said.places, strict=True))

    def agreed(self) -> int:
        """How many units all texts begin with, and will begin with at their end."""
        whole = [len(said.units) - said.text.open for said in self._alive]
        return max(min(common([said.units for said in self._alive]), *whole), 0)

    def settled(self, frame: int) -> bool:
        """Whether all texts say the same in the frames before this one, and will say it at their end."""
        before = {said.units[: sum(t < frame for t, _ in said.places)] for said in self._alive}
        return len(before) == 1 and len(before.pop()) <= self.agreed()

    def forget(self, number: int, frames: int) -> None:
        """Leave out the first units of the best text, and so many frames: what other texts say there is later then."""
        begun = self._alive[0].units[:number]
        self._alive = [_without(said, number, frames) for said in self._alive if said.units[:number] == begun]

    def end(self) -> None:
        """Nothing more comes: the text that is best as a whole alone is left."""
        scores, whole = self._search.ended(self._alive, 0)
        self._alive = [whole[max(range(len(scores)), key=scores.__getitem__)]]


def _shortened(said: _Said[S], number: int) -> _Said[S]:
    """A text without its last units, or without those of them that are not forgotten."""
    kept = max(len(said.units) - number, 0)
    return replace(said, units=said.units[:kept], places=said.places[:kept])


def _without(said: _Said[S], number: int, frames: int) -> _Said[S]:
    places = tuple((max(t - frames, 0), y) for t, y in said.places[number:])
    return replace(said, units=said.units[number:], places=places)


def _of(said: _Said[S], frames: int) -> Emitted:
    return emitted_at([(unit, t, math.exp(y)) for unit, (t, y) in zip(said.units, said.places, strict=True)], frames)


def _add(over: dict[tuple[int, ...], _Said[S]], said: _Said[S], blank: float) -> None:
    """The frame of a text is over: ways that say the same become one, at the places of the most probable."""
    if blank == NEVER:
        return
    nats, best, other = said.nats + blank, said.best + blank, over.get(said.units)
    if other is None:
        over[said.units] = replace(said, nats=nats, best=best)
        return
    places = (best, said.places) if best > other.best else (other.best, other.places)
    over[said.units] = replace(other, nats=log_sum(other.nats, nats), best=places[0], places=places[1])
