"""Which pieces of a sequence are hidden, and what stands in their place: a function of (seed, epoch, sequence).

Devlin et al. 2019, arXiv:1810.04805, section 3.1: of 15 % of the pieces 80 % become [MASK], 10 % a piece that is drawn
and 10 % stay. Nothing is kept between two draws, so a run that is resumed hides what it would have hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.data.draws import drawn, key_of
from recurra.data.tokenizers import Pieces
from recurra.data.tokenizers.vocabulary import SPECIALS

Numbers = NDArray[np.int64]
# Of the pieces that are chosen: those that become [MASK], and up to here those that become another piece.
MASKED, DRAWN = 0.8, 0.9
# What is drawn, each from numbers of its own.
CHOICE, FATE, OTHER, COUNT, PAIR, PARTNER = range(6)


__all__ = ["MaskRule", "drawn", "key_of"]


@dataclass(frozen=True, slots=True)
class MaskRule:
    """How sequences are hidden. share: of the pieces, 0..1      mask: the number of [MASK]

    ordinary: (V,) bool, pieces that may be hidden and drawn: no marks, nothing unknown
    inside: (V,) bool, pieces that go on with a word; None: each piece is hidden by itself
    """

    share: float
    mask: int
    ordinary: NDArray[np.bool_]
    inside: NDArray[np.bool_] | None

    @classmethod
    def of(cls, pieces: Pieces, share: float, *, whole_words: bool) -> MaskRule:
        """For the pieces of a vocabulary, which has [MASK]."""
        words = pieces.vocabulary.tokens(range(len(pieces.vocabulary)))
        marks = {*SPECIALS, *pieces.marks.values()}
        ordinary = np.array([word not in marks and not _is_hole(word) for word in words])
        inside = np.array([word.startswith("##") for word in words]) if whole_words else None
        return cls(share, pieces.sizes["mask_piece"] + len(SPECIALS), ordinary, inside)

    def places(self, ids: Numbers, key: int) -> Numbers:
        """(P,) the places that are chosen, in order: on average `share` of the ordinary pieces, and one at least."""
        able = np.flatnonzero(self.ordinary[ids])
        if not len(able):
            return able
        number = max(int(self.share * len(able) + drawn(key, 1, COUNT)[0]), 1)
        if self.inside is None:
            return np.sort(able[np.argsort(drawn(key, len(able), CHOICE), kind="stable")[:number]])
        return self._words(ids, able, number, key)

    def _words(self, ids: Numbers, able: Numbers, number: int, key: int) -> Numbers:
        """Whole words, in the order in which they are drawn, as long as they fit; one at least."""
        assert self.inside is not None
        starts = np.flatnonzero(~self.inside[ids[able]] | (np.diff(able, prepend=-2) != 1))
        words = np.split(able, starts[1:]) if len(starts) else [able]
        taken: list[Numbers] = []
        for k in np.argsort(drawn(key, len(words), CHOICE), kind="stable").tolist():
            if not taken or sum(map(len, taken)) + len(words[k]) <= number:
                taken.append(words[k])
        return np.sort(np.concatenate(taken))

    def hidden(self, ids: Numbers, places: Numbers, key: int) -> Numbers:
        """(L,) the pieces with something else at these places: [MASK], a piece that is drawn, or what stood there."""
        found, fate = ids.copy(), drawn(key, len(places), FATE)
        pool = np.flatnonzero(self.ordinary)
        other = pool[(drawn(key, len(places), OTHER) * len(pool)).astype(np.int64)]
        found[places] = np.where(fate < MASKED, self.mask, np.where(fate < DRAWN, other, ids[places]))
        return found


def _is_hole(word: str) -> bool:
    """Whether a number of a folder has no piece, or one that is kept free."""
    return word.startswith(("[no piece ", "[unused"))
