"""Searches through steps that come: texts are final where all that are followed say the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.decode.ctc import Emitted, first_units
from recurra.decode.prefix_beam import PrefixStream, emitted
from recurra.decode.steps import Floats
from recurra.decode.transducer import Network, TransducerStream, emitted_at
from recurra.tasks.transcription.methods.contract import Decoding, Outputs


@dataclass(frozen=True, slots=True)
class Settled:
    """What was said before a cut, and will not change."""

    emitted: Emitted

    def said(self) -> Emitted:
        return self.emitted


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A search of CTC since the last cut. frames: (C,) ln p of each; best: the most probable unit of each

    doubt: a step, and what was agreed on, when what was said before it was not certain
    """

    search: PrefixStream
    frames: list[Floats] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    doubt: list[tuple[int, int, bool]] = field(default_factory=list)

    @property
    def blank(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.array(self.best, np.int64) == 0
        return found

    @property
    def edges(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.diff(self.best)) + 1

    def units(self) -> Sequence[int]:
        return self.search.best()

    def said(self) -> Emitted:
        units, frames = self.search.best(), len(self.frames)
        whole = (*units, *self.search.left_out)
        found = emitted(np.stack(self.frames), whole) if frames else None
        if found is None or found.units != whole:
            return _spread(units, frames)
        return first_units(found, len(units), frames)

    def certain(self, step: int) -> bool:
        """Where texts agree on the unit behind it too, or only one is left: a longer one may say more before the step.

        Looked at anew where more is agreed on: finding the steps of units is the costly part.
        """
        now = (step, self.search.agreed(), self.search.alone)
        if self.doubt == [now]:
            return False
        self.doubt[:] = [now]
        number = _before(self.said(), step)
        return number < now[1] + self.search.alone or number == 0

    def cut(self, step: int) -> tuple[Settled, Prefixes]:
        said = self.said()
        number = _before(said, step) if step < len(self.frames) else len(said.units)
        self.search.forget(number)
        return Settled(first_units(said, number, step)), Prefixes(self.search, self.frames[step:], self.best[step:])

    def ended(self) -> Prefixes:
        self.search.end()
        return self


class CtcSearch:
    """Hears by CTC with a beam, frame by frame, so that what is final does not depend on the sizes of pieces."""

    def __init__(self, how: Decoding) -> None:
        self._how = how

    def begin(self) -> Prefixes:
        return Prefixes(PrefixStream(self._how.texts, self._how.beam))

    def parts(self, outputs: Outputs) -> Iterable[Outputs]:
        return ({"log_probs": one} for one in outputs["logits"][:, 0].double().log_softmax(1).cpu())

    def grown(self, path: Prefixes, outputs: Outputs) -> Prefixes:
        y: Floats = outputs["log_probs"].numpy()
        path.search.feed(y)
        path.frames.append(y)
        path.best.append(int(y.argmax()))
        return path


@dataclass(frozen=True, slots=True)
class Spoken:
    """A search of a transducer since the last cut, of so many steps."""

    search: TransducerStream[Any]
    steps: int

    @property
    def blank(self) -> NDArray[np.bool_]:
        found = np.ones(self.steps, dtype=bool)
        found[[t for _, t, _ in self.search.best()]] = False
        return found

    @property
    def edges(self) -> NDArray[np.int64]:
        return np.arange(1, self.steps + 1)

    def units(self) -> Sequence[int]:
        return [unit for unit, _, _ in self.search.best()]

    def said(self) -> Emitted:
        return emitted_at(self.search.best(), self.steps)

    def certain(self, step: int) -> bool:
        return self.search.settled(step) or all(t >= step for _, t, _ in self.search.best())

    def cut(self, step: int) -> tuple[Settled, Spoken]:
        before = [one for one in self.search.best() if one[1] < step or step >= self.steps]
        self.search.forget(len(before), step)
        return Settled(emitted_at(before, step)), Spoken(self.search, self.steps - step)

    def ended(self) -> Spoken:
        self.search.end()
        return self


class TransducerSearch:
    """Hears by a transducer with a beam, step by step."""

    def __init__(self, network: Network[Any], how: Decoding) -> None:
        self._network, self._how = network, how

    def begin(self) -> Spoken:
        device = next(iter(self._network.state.values())).device
        return Spoken(TransducerStream(self._network, self._how.texts, self._how.beam, device), 0)

    def parts(self, outputs: Outputs) -> Iterable[Outputs]:
        return ({"frames": one} for one in outputs["frames"])

    def grown(self, path: Spoken, outputs: Outputs) -> Spoken:
        path.search.feed(outputs["frames"][0], path.steps)
        return replace(path, steps=path.steps + 1)


def _before(said: Emitted, step: int) -> int:
    """Units that begin before a step."""
    return sum(start < step for start in said.starts)


def _spread(units: Sequence[int], frames: int) -> Emitted:
    """Units whose frames were given to what was cut off before them, as another text was the best then."""
    starts = tuple(k * frames // len(units) for k in range(len(units)))
    ends = tuple(min(start + 1, frames) for start in starts)
    return Emitted(tuple(units), starts, ends, (0.0,) * len(units), frames, frames)
