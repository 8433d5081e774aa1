"""Text to token ids: a trained tokenizer with its vocabulary, and a limit on length that is said aloud."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.errors import RunError
from recurra.config import build
from recurra.data.preparing import ExtraWords, Means
from recurra.data.tokenizers import (
    TOKENIZERS,
    Corpus,
    Cutter,
    Encoded,
    Pieces,
    Tokenizer,
    TokenizerPlan,
    Vocabulary,
    VocabularyPlan,
    encode,
    encoded_block,
    refuse_limits,
    tokenizer_from_json,
    vocabulary_from_json,
)
from recurra.data.tokenizers.vocabulary import SPECIALS

Keep = Literal["start", "end"]


class HasText(Protocol):
    """A row of which a text is read."""

    @property
    def text(self) -> str: ...


Row = TypeVar("Row", bound=HasText)


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Tokens and ids of a text. max_length: tokens that are kept, from the start or the end; None keeps all."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    max_length: int | None
    keep: Keep

    @classmethod
    def fit(
        cls,
        plan: TokenizerPlan,
        rows: Collection[HasText],
        means: Means,
        *,
        min_count: int,
        max_vocabulary: int | None,
        max_length: int | None,
        keep: Keep,
        see: Callable[[Any], None] = lambda row: None,
    ) -> tuple[TextEncoder, Iterator[tuple[Encoded, int]]]:
        """Train the tokenizer and count the vocabulary on training texts; with these texts as `encode` has them.

        see: told of each row, in order
        """
        tokenizer = plan.train(row.text for row in rows)
        corpus = Corpus(means.keeping.numbers)
        watched = means.watched("cutting", rows, len(rows))
        for some, block in means.blocks(Cutter(tokenizer), watched, _text, corpus.places):
            corpus.add(block)
            for row in some:
                see(row)
        vocabulary = _vocabulary(tokenizer, corpus, min_count, max_vocabulary, means.extra)
        reader = cls(tokenizer, vocabulary, max_length, keep)
        return reader, ((reader._within(one), len(one)) for one in corpus.encoded(vocabulary))

    def encoded(self, rows: Iterable[Row], means: Means) -> Iterator[tuple[Row, Encoded, int]]:
        """Rows with their texts as `encode` has them."""
        for some, block in means.blocks(Cutter(self.tokenizer), rows, _text):
            for row, one in zip(some, encoded_block(self.vocabulary, block), strict=True):
                yield row, self._within(one), len(one)

    def encode(self, text: str) -> tuple[Encoded, int]:
        """The tokens of a text within the limit, as numbers; and how many it has without the limit."""
        tokens = self.tokenizer.tokenize(text)
        if isinstance(self.tokenizer, Pieces):
            return self._within(encode(self.vocabulary, tokens)), len(tokens)
        return encode(self.vocabulary, tokens[self._limits(len(tokens))]), len(tokens)

    @property
    def pieces(self) -> Pieces | None:
        """The tokenizer, if it has word pieces."""
        return self.tokenizer if isinstance(self.tokenizer, Pieces) else None

    @property
    def sizes(self) -> dict[str, int]:
        """What a model has to know of the tokens: how many there are, and of word pieces the numbers of marks."""
        marks = self.tokenizer.sizes if isinstance(self.tokenizer, Pieces) else {}
        return {"tokens": len(self.vocabulary), **marks}

    def tokens(self, text: str) -> tuple[str, ...]:
        """The tokens of a text, all of them."""
        return tuple(map(sys.intern, self.tokenizer.tokenize(text)))

    def _limits(self, length: int) -> slice:
        """The places within the limit, of a text of so many tokens."""
        if self.max_length is None or length <= self.max_length:
            return slice(0, length)
        return slice(0, self.max_length) if self.keep == "start" else slice(length - self.max_length, length)

    def _within(self, text: Encoded) -> Encoded:
        if isinstance(self.tokenizer, Pieces) and self.max_length is not None and len(text) > self.max_length:
            separator = self.sizes["separator_piece"] + len(SPECIALS)
            found = np.flatnonzero(text.ids == separator).tolist()
            return text.parts(self.tokenizer.kept(found, len(text), self.max_length, self.keep == "end"))
        places = self._limits(len(text))
        return text if places == slice(0, len(text)) else text.part(places.start, places.stop)

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "tokenizer": self.tokenizer.to_json(),
            "vocabulary": None if isinstance(self.tokenizer, Pieces) else self.vocabulary.to_json(),
            "max_length": self.max_length,
            "keep": self.keep,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> TextEncoder:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        try:
            limit, keep = data["max_length"], data["keep"]
            if not (limit is None or (isinstance(limit, int) and limit > 0)) or keep not in ("start", "end"):
                raise ValueError(f"max_length {limit!r} and keep {keep!r}")
            tokenizer = tokenizer_from_json(data["tokenizer"])
            if isinstance(tokenizer, Pieces):
                return cls(tokenizer, tokenizer.vocabulary, limit, keep)
            return cls(tokenizer, vocabulary_from_json(data["vocabulary"]), limit, keep)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected a tokenizer with its vocabulary: {error}") from error


def _vocabulary(
    tokenizer: Tokenizer, corpus: Corpus, min_count: int, max_size: int | None, extra: ExtraWords
) -> Vocabulary:
    """Of what was seen often enough, and of words from elsewhere; of word pieces all of them."""
    if isinstance(tokenizer, Pieces):
        refuse_limits(tokenizer, min_count, max_size)
        return tokenizer.vocabulary
    also = extra.read_as(tokenizer.tokenize)
    return VocabularyPlan(min_count=min_count, max_size=max_size, also=also).build(corpus.counts())


def _text(row: HasText) -> str:
    return row.text


def pad_sequence(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """(T, N) int64, zero where padded. One array for all rows: a tensor for each took a tenth of a training step."""
    lengths = np.array(list(map(len, rows)), dtype=np.int64)
    return _columns(np.fromiter(chain.from_iterable(rows), np.int64), lengths)


def pad_arrays(rows: Sequence[NDArray[Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of arrays of numbers; and their lengths (N,)."""
    lengths = np.array(list(map(len, rows)), dtype=np.int64)
    return _columns(np.concatenate([np.zeros(0, np.uint16), *rows]), lengths), torch.from_numpy(lengths)


def _columns(flat: NDArray[Any], lengths: NDArray[np.int64]) -> torch.Tensor:
    table = np.zeros((len(lengths), int(lengths.max(initial=0))), dtype=np.int64)
    table[np.arange(table.shape[1]) < lengths[:, None]] = flat
    return torch.from_numpy(np.ascontiguousarray(table.T))


def unknown_share(texts: Iterable[Encoded]) -> float:
    """The share of tokens that the vocabulary does not have, 0..1."""
    tokens, unknown = 0, 0
    for text in texts:
        tokens, unknown = tokens + len(text), unknown + text.num_unknown
    return unknown / max(tokens, 1)


@dataclass(frozen=True, slots=True)
class OneText:
    """A text by itself."""

    text: str


class CutsTexts(Protocol):
    """What a config says of how texts are cut."""

    @property
    def tokenizer(self) -> Any: ...
    @property
    def min_count(self) -> int: ...
    @property
    def max_vocabulary(self) -> int | None: ...
    @property
    def max_length(self) -> int | None: ...


class Cut(Protocol):
    """An example of which a part may not be read. all_tokens: how many it has"""

    @property
    def all_tokens(self) -> int: ...
    @property
    def origin(self) -> Origin: ...


def cut_note(examples: Collection[Cut], limit: int | None, what: str, where: str = "") -> tuple[str, ...]:
    """A sentence on examples with more tokens than are read, if there are some. what: "texts", or what else they are"""
    number, first = 0, None
    for one in examples if limit is not None else ():
        if limit is not None and one.all_tokens > limit:
            number, first = number + 1, first or (one.origin, one.all_tokens)
    if first is None:
        return ()
    return (
        f"{where}{number:,} of {len(examples):,} {what} are longer than task.max_length = {limit} tokens, and the rest "
        f"is not read; the first: {first[0]}, {first[1]:,} tokens.",
    )


def reader_of(plan: CutsTexts, texts: Iterable[str], means: Means) -> TextEncoder:
    """The tokenizer that a config describes and the vocabulary of these texts, of which the starts are read.

    Raises DataError if there is nothing to learn, ConfigError for options that do not fit.
    """
    return reader_of_rows(plan, list(map(OneText, texts)), means)


def reader_of_rows(plan: CutsTexts, rows: Collection[HasText], means: Means) -> TextEncoder:
    """The same of texts that need not be in memory: they are gone through again and again."""
    return TextEncoder.fit(
        build(plan.tokenizer, TOKENIZERS),
        rows,
        means,
        min_count=plan.min_count,
        max_vocabulary=plan.max_vocabulary,
        max_length=plan.max_length,
        keep="start",
    )[0]
