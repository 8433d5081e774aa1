"""Questions and contexts as tokens that know their place, and as the windows that a model reads.

[CLS] question [SEP] context [SEP], as in Devlin et al. 2019, arXiv:1810.04805, section 4.2; words of a model that
begins from nothing have BOS and EOS in their place. A context that is too long is read in windows, each with the whole
question, that overlap by a named number of tokens, and a token counts in the window in which it stands farthest from
an end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.data.tokenizers import BOS, CUTTERS, EOS, CutterName, Pieces, Vocabulary, tokenizer_from_json
from recurra.tasks.question_answering.rows import Cut
from recurra.tasks.tagging.readers import Numbers, WordReader
from recurra.tasks.text import pad_sequence

# Contexts that are remembered: questions about one follow one another.
REMEMBERED = 256
# Letters at the beginning of a word by which words of one stem are known.
STEM = 5
# Numbers beside a word: whether it is one of the question's, whether the question has it, and whether its stem.
MARKS = 3
Window = tuple[int, int]


class PassageReader:
    """The inputs of a model. pieces: of published weights; else cutter and words say how texts are cut and looked up

    window: tokens of a row at most, question and marks among them; None: no limit
    overlap: tokens of the context that two windows share      max_question: tokens of a question that are read
    """

    def __init__(
        self,
        *,
        pieces: Pieces | None,
        words: WordReader | None,
        cutter: CutterName,
        window: int | None,
        overlap: int,
        max_question: int,
    ) -> None:
        self.pieces, self.words, self.cutter = pieces, words, cutter
        self.window, self.overlap, self.max_question = window, overlap, max_question
        if pieces is not None:
            self._begin, self._end = pieces.vocabulary.ids([pieces.marks["begin"], pieces.marks["separator"]])
        # RoBERTa has two marks between its texts.
        self.between = 2 if pieces is not None and pieces.marks["begin"] == "<s>" else 1
        self.cut = lru_cache(REMEMBERED)(self._cut)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        if self.pieces is not None:
            return self.pieces.vocabulary
        assert self.words is not None
        return self.words.words

    @property
    def sizes(self) -> dict[str, int]:
        """What a model has to know of the tokens: how many there are, and of word pieces the numbers of marks."""
        if self.pieces is not None:
            return {"tokens": len(self.pieces.vocabulary), **self.pieces.sizes}
        assert self.words is not None
        words, letters, patterns = self.words.words, self.words.letters, self.words.patterns
        return {"words": len(words), "characters": len(letters), "patterns": len(patterns), "dictionary": MARKS}

    def framed(self, asked: Cut, passage: Cut) -> tuple[str, ...]:
        """The tokens of a row, marks and all, as people see them."""
        first, between = (
            ("[CLS]", "[SEP]") if self.pieces is None else (self.pieces.marks["begin"], self.pieces.marks["separator"])
        )
        return (first, *asked.tokens, *[between] * self.between, *passage.tokens, between)

    @property
    def marks(self) -> int:
        """Tokens of a row that are of neither text."""
        return 2 + self.between

    def _cut(self, text: str) -> Cut:
        """A text as tokens with their places in it."""
        if self.pieces is not None:
            found = self.pieces.pieces(text)
            tokens, places = tuple(sys.intern(piece) for piece, _ in found), [place for _, place in found]
            return Cut(_array(self.pieces.vocabulary.ids(tokens)), *_ends(places), tokens)
        assert self.words is not None
        places = CUTTERS[self.cutter](text)
        tokens = tuple(sys.intern(text[start:end]) for start, end in places)
        numbers = self.words.numbers(tokens)
        folded = tuple(sys.intern(token.lower()) for token in tokens)
        return Cut(numbers.words.astype(np.int64), *_ends(places), tokens, numbers, folded)

    def windows(self, asked: int, passage: int) -> list[Window]:
        """Stretches of a context of so many tokens, as (start, stop), beside a question of so many."""
        room = passage if self.window is None else max(self.window - asked - self.marks, self.overlap + 1)
        found = [(0, min(room, passage))]
        while found[-1][1] < passage:
            start = found[-1][1] - self.overlap
            found.append((start, min(start + room, passage)))
        return found

    def inputs(self, texts: Sequence[tuple[Cut, Cut]], *, nulls: bool) -> tuple[dict[str, Tensor], Tensor]:
        """Of questions and contexts what a model reads, rows first of all windows that come first; and (N,), how many
        of an example's places stand for no answer: one a window, or none.

        piece_lengths (R,); places (P, N), where in the (T R) steps each place is: those for no answer, then the tokens
        of the context, in order. tokens (T, R), or what `WordReader` has of words with `MARKS` numbers of each,
        "dictionary".
        """
        spans = [self.windows(len(asked), len(passage)) for asked, passage in texts]
        rows = [(n, *each[0]) for n, each in enumerate(spans)]
        own = [[n] for n in range(len(texts))]
        for n, each in enumerate(spans):
            for start, stop in each[1:]:
                own[n].append(len(rows))
                rows.append((n, start, stop))
        places = [
            self._places(spans[n], own[n], len(asked), len(passage), len(rows), nulls)
            for n, (asked, passage) in enumerate(texts)
        ]
        lengths = [len(texts[n][0]) + stop - start + self.marks for n, start, stop in rows]
        given = [(texts[n][0], texts[n][1], start, stop) for n, start, stop in rows]
        found = self._piece_inputs(given) if self.pieces is not None else self._word_inputs(given)
        found |= {"piece_lengths": torch.tensor(lengths, dtype=torch.int64), "places": pad_sequence(places)}
        return found, torch.tensor([len(each) if nulls else 0 for each in spans], dtype=torch.int64)

    def _places(
        self, spans: Sequence[Window], own: Sequence[int], asked: int, passage: int, rows: int, nulls: bool
    ) -> list[int]:
        before = asked + 1 + self.between
        # [CLS] is what BERT has for no answer; a recurrent layer has read everything at the last step.
        nothing = [0] * len(spans) if self.pieces is not None else [before + b - a for a, b in spans]
        found = [step * rows + row for step, row in zip(nothing, own, strict=True)] if nulls else []
        chosen = owners(spans, passage)
        starts, row = np.array([start for start, _ in spans]), np.array(own)
        steps = before + np.arange(passage) - starts[chosen]
        return [*found, *(steps * rows + row[chosen]).tolist()]

    def _piece_inputs(self, rows: Sequence[tuple[Cut, Cut, int, int]]) -> dict[str, Tensor]:
        begin, end, between = [self._begin], [self._end], [self._end] * self.between
        framed = [np.concatenate([begin, q.ids, between, c.ids[a:b], end]) for q, c, a, b in rows]
        return {"tokens": pad_sequence([row.tolist() for row in framed])}

    def _word_inputs(self, rows: Sequence[tuple[Cut, Cut, int, int]]) -> dict[str, Tensor]:
        assert self.words is not None
        marks = [_marks(*row) for row in rows]
        table = np.zeros((max(map(len, marks), default=0), len(rows), MARKS), np.float32)
        for n, each in enumerate(marks):
            table[: len(each), n] = each
        return {**self.words.inputs([_framed(*row) for row in rows]), "dictionary": torch.from_numpy(table)}

    def to_json(self) -> dict[str, Any]:
        """How texts are cut and looked up."""
        return {
            "pieces": None if self.pieces is None else self.pieces.to_json(),
            "words": None if self.words is None else self.words.to_json(),
        }


def read_pieces_from_json(data: Any) -> Pieces | None:
    """The pieces that `PassageReader.to_json` holds, if there are some. Raises TypeError for what is none."""
    found = None if data is None else tokenizer_from_json(data)
    if found is not None and not isinstance(found, Pieces):
        raise TypeError("no word pieces")
    return found


def owners(spans: Sequence[Window], number: int) -> NDArray[np.int64]:
    """In which window each token counts: where it stands farthest from an end that is none of the text's."""
    at = np.arange(number)
    margins = np.full((len(spans), number), -1.0)
    for k, (start, stop) in enumerate(spans):
        inside = (at >= start) & (at < stop)
        left = np.where(start > 0, at - start, np.inf)
        right = np.where(stop < number, stop - 1 - at, np.inf)
        margins[k, inside] = np.minimum(left, right)[inside]
    found: NDArray[np.int64] = margins.argmax(0)
    return found


def _framed(asked: Cut, passage: Cut, start: int, stop: int) -> Numbers:
    """BOS question EOS context EOS, with what is read of each word."""
    q, c = asked.words, passage.part(start, stop).words
    assert q is not None
    assert c is not None
    none = np.zeros(1, np.uint8)
    return Numbers(
        _joined([BOS], q.words, [EOS], c.words, [EOS]),
        _joined([BOS], q.patterns, [EOS], c.patterns, [EOS]),
        np.concatenate([q.letters, c.letters]),
        np.concatenate([none, q.sizes, none, c.sizes, none]),
    )


def _joined(*parts: Any) -> Any:
    dtype = next(part.dtype for part in parts if isinstance(part, np.ndarray))
    return np.concatenate([np.asarray(part, dtype) for part in parts])


def _marks(asked: Cut, passage: Cut, start: int, stop: int) -> NDArray[np.float32]:
    """(T, MARKS) of a row: whose it is, and what the other text has of it (Chen et al. 2017, arXiv:1704.00051, 3.2)."""
    found = np.zeros((len(asked) + stop - start + 3, MARKS), np.float32)
    found[: len(asked) + 2, 0] = 1
    for at, own, other in (
        (1, asked.folded, passage.folded[start:stop]),
        (len(asked) + 2, passage.folded[start:stop], asked.folded),
    ):
        known, stems = set(other), {word[:STEM] for word in other}
        found[at : at + len(own), 1] = [word in known for word in own]
        found[at : at + len(own), 2] = [word[:STEM] in stems for word in own]
    return found


def _array(numbers: Sequence[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def _ends(places: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _array([start for start, _ in places]), _array([end for _, end in places])
