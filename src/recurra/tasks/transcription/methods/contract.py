"""What a head of speech is to the task: its loss, its search, and what it has said of a recording that comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.decode.ctc import Emitted
from recurra.decode.fusion import Fusion
from recurra.decode.texts import Texts
from recurra.decode.word_beam import SpokenWords

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How texts are searched for. beam: texts that are followed; 1: the most probable unit, again and again

    lm: a language model beside      hot_words: nats of each      spelling: what each unit adds to a text (`Texts`)
    lexicon: the only words that may be said; None: all
    spoken: words by their pronunciations, with what they are worth, made once; None where units are spelt
    """

    beam: int = 1
    lm: Fusion | None = None
    hot_words: Mapping[str, float] | None = None
    spelling: Sequence[str] = ()
    lexicon: Collection[str] | None = None
    spoken: Callable[[], SpokenWords] | None = None

    @property
    def beside(self) -> dict[str, Any]:
        """What stands beside the network, as options of a search."""
        acts = self.lm is not None or bool(self.hot_words) or self.lexicon is not None
        models = () if self.lm is None else (self.lm,)
        spelling = self.spelling if acts else None
        return {"lm": models, "hot": self.hot_words, "lexicon": self.lexicon, "spelling": spelling}

    @property
    def texts(self) -> Texts:
        """The same for a search through frames that come."""
        beside = self.beside
        return Texts(beside["spelling"], beside["lm"], beside["hot"], beside["lexicon"])


class Settled(Protocol):
    """What was said, and will not change."""

    def said(self) -> Emitted:
        """The units, at steps from 0."""
        ...


class Path(Protocol):
    """What was said of the steps since the last pause.

    blank: (T,) which steps say nothing      edges: steps, from 1 on, in front of which no unit is torn
    """

    @property
    def blank(self) -> NDArray[np.bool_]: ...
    @property
    def edges(self) -> NDArray[np.int64]: ...
    def units(self) -> Sequence[int]:
        """What was said, as it stands now."""
        ...

    def said(self) -> Emitted:
        """The same, at steps from 0."""
        ...

    def certain(self, step: int) -> bool:
        """Whether what was said before a step stays, whatever comes."""
        ...

    def cut(self, step: int) -> tuple[Settled, Path]:
        """The path before a step, and from it on."""
        ...

    def ended(self) -> Path:
        """The same once nothing more comes."""
        ...


class Listener(Protocol):
    """Says what a stream of steps says: by the most probable unit, or by a search, which goes on and never back."""

    def begin(self) -> Path:
        """Before the first step."""
        ...

    def parts(self, outputs: Outputs) -> Iterable[Outputs]:
        """The outputs of a piece, cut where a path is to be looked at. outputs: the model's, of one row"""
        ...

    def grown(self, path: Any, outputs: Outputs) -> Path:
        """A path with the steps of one part more."""
        ...


class Method(Protocol):
    """METHODS[the word of a head](its options): what differs between the heads of a transcription.

    word: of the head      why: what a recording that is too short has too little of
    """

    word: str
    why: str

    def needed(self, units: Sequence[int]) -> int:
        """Steps that a text needs at least."""
        ...

    def inputs(self, units: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What a model reads of texts (N, U), lengths (N,), beside the recordings."""
        ...

    def nats(self, outputs: Outputs, lengths: Tensor, targets: Mapping[str, Tensor], rows: Tensor | None) -> Tensor:
        """-ln p of texts (N,), with gradients. lengths, targets: of the rows alone      rows: (N,) of outputs; all"""
        ...

    def search(self, model: nn.Module, batch: Batch, outputs: Outputs, lengths: Tensor, how: Decoding) -> list[Emitted]:
        """What each recording says. The model is in eval mode."""
        ...

    def listener(self, model: nn.Module, how: Decoding) -> Listener:
        """Hears piece by piece. Raises ConfigError for a head that needs the end first."""
        ...
