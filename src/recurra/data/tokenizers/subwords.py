"""Subwords: pieces of words learnt from the training texts, so that rare words are not lost.

The tokenizing, and the merges of BPE and WordPiece, are Hugging Face `tokenizers`; Unigram is trained in unigram.py.
The same texts give the same pieces, bit for bit, in any order of the texts.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import Opt
from recurra.data.tokenizers.cleaning import NORMAL_FORMS, Cleaning, NormalForm
from recurra.data.tokenizers.tokenizer import Tokenizer, with_keys
from recurra.data.tokenizers.unigram import train_unigram
from recurra.data.tokenizers.words import split_words

if TYPE_CHECKING:
    import tokenizers

Algorithm = Literal["bpe", "unigram", "wordpiece"]
ALGORITHMS: tuple[Algorithm, ...] = ("bpe", "unigram", "wordpiece")
UNKNOWN = "<unk>"
SPACE = "\u2581"  # begins a word, as in SentencePiece (bpe, unigram)
INSIDE = "##"  # continues a word, as in BERT (wordpiece)

MAX_WORD = 64  # characters; a longer word is learnt from in parts and not remembered: base64 must not fill memory


class Subwords:
    """Learn pieces of words: byte-pair merges (bpe), a unigram model, or BERT's word pieces.

    Words are cut at spaces and around symbols first, so no piece spans two of them; white space is not kept.
    Sources: Sennrich et al. 2016, arXiv:1508.07909; Kudo 2018, arXiv:1804.10959; Schuster & Nakajima 2012.
    """

    def __init__(
        self,
        *,
        algorithm: Annotated[Algorithm, Opt("how the pieces are learnt", choices=ALGORITHMS)] = "bpe",
        vocab_size: Annotated[int, Opt("pieces to learn, all single characters among them", ge=2)] = 8000,
        lowercase: Annotated[bool, Opt("fold to lower case")] = False,
        normalization: Annotated[NormalForm, Opt("Unicode normal form", choices=NORMAL_FORMS)] = "nfc",
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise ConfigError(f"algorithm: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}.")
        self._algorithm = algorithm
        self._vocab_size = vocab_size
        self._clean = Cleaning(lowercase=lowercase, normalization=normalization)

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the pieces of `texts`.

        Raises DataError when there is no word in them, ConfigError when the characters alone are more than vocab_size.
        """
        counts = _word_counts(map(self._clean, texts), self._algorithm)
        if not counts:
            raise DataError("subwords: the training texts hold no word to learn from.")
        alphabet = _alphabet(counts, self._algorithm)
        if len(alphabet) >= self._vocab_size:
            raise ConfigError(
                f"vocab_size: expected more than {len(alphabet)}, the number of different characters in the training "
                f"texts, got {self._vocab_size}. Raise it, or set lowercase or normalization: nfkc."
            )
        if self._algorithm == "unigram":
            model = _unigram_model(train_unigram(counts, self._vocab_size - 1))
        else:
            model = _merged_model(counts, alphabet, self._vocab_size, self._algorithm)
        return SubwordTokenizer(self._clean, self._algorithm, model)


class SubwordTokenizer:
    """Learnt pieces at work. A character that was never seen becomes "<unk>".

    model: plain JSON: {"pieces": [...], "merges": [[left, right], ...]} for bpe, {"pieces": [...]} for wordpiece,
    {"pieces": [...], "scores": [log probability, ...]} for unigram. The first piece is "<unk>".
    Raises RunError when it is not.
    """

    def __init__(self, cleaning: Cleaning, algorithm: Algorithm, model: Mapping[str, Any]) -> None:
        self._clean = cleaning
        self._algorithm = algorithm
        self._model = model
        self._encoder = _encoder(algorithm, model)
        self._pieces: list[str] = model["pieces"]
        # Words come back: a film review takes a fifth of the time with their pieces remembered.
        self._remembered = lru_cache(maxsize=2**16)(self._cut)

    def tokenize(self, text: str) -> list[str]:
        """Cut `text` into learnt pieces."""
        pieces: list[str] = []
        for chunk in self._clean(text).split():
            pieces += self._remembered(chunk) if len(chunk) <= MAX_WORD else self._cut(chunk)
        return pieces

    def join(self, tokens: Sequence[str]) -> str:
        """The pieces put together. Word pieces do not say where a symbol stood close, so it gets spaces around it."""
        if self._algorithm == "wordpiece":
            return " ".join(tokens).replace(f" {INSIDE}", "")
        return "".join(tokens).replace(SPACE, " ").strip()

    def _cut(self, chunk: str) -> tuple[str, ...]:
        words = _words_of(chunk, self._algorithm)
        with one_thread():
            numbers = self._encoder.encode(words, is_pretokenized=True, add_special_tokens=False).ids
        # By number, not by the library's own tokens: there its unigram model shows an unknown character as it is.
        return tuple(self._pieces[number] for number in numbers)

    def to_json(self) -> dict[str, Any]:
        """Name, options and pieces."""
        return {
            "name": "subwords",
            "algorithm": self._algorithm,
            "lowercase": self._clean.lowercase,
            "normalization": self._clean.normalization,
            "model": dict(self._model),
        }


def subwords_from_json(data: Mapping[str, Any]) -> Tokenizer:
    """The opposite of `SubwordTokenizer.to_json`."""
    data = with_keys(data, "algorithm", "lowercase", "normalization", "model")
    if data["algorithm"] not in ALGORITHMS:
        raise RunError(f"tokenizer: unknown algorithm {data['algorithm']!r}; known: {', '.join(ALGORITHMS)}.")
    cleaning = Cleaning(lowercase=data["lowercase"], normalization=data["normalization"])
    return SubwordTokenizer(cleaning, data["algorithm"], data["model"])


def _words_of(chunk: str, algorithm: Algorithm) -> list[str]:
    """The words and symbols of a text without white space; the first begins with SPACE, but not for wordpiece."""
    words = split_words(chunk)
    return words if algorithm == "wordpiece" else [SPACE + words[0], *words[1:]]


def _word_counts(texts: Iterable[str], algorithm: Algorithm) -> Counter[str]:
    """How often each word occurs; a longer one than MAX_WORD as its parts."""
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update(text.split())
    counts: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word in _words_of(chunk, algorithm):
            for at in range(0, len(word), MAX_WORD):
                counts[word[at : at + MAX_WORD]] += count
    return counts


def _alphabet(counts: Mapping[str, int], algorithm: Algorithm) -> list[str]:
    if algorithm == "wordpiece":
        return sorted({INSIDE * (at > 0) + letter for word in counts for at, letter in enumerate(word)})
    return sorted({letter for word in counts for letter in word})


def _merged_model(counts: Counter[str], alphabet: list[str], size: int, algorithm: Algorithm) -> dict[str, Any]:
    from tokenizers import Tokenizer as Trained
    from tokenizers import models, trainers

    inside = INSIDE if algorithm == "wordpiece" else ""
    learner = Trained(models.BPE(unk_token=UNKNOWN, continuing_subword_prefix=inside))
    # The trainer numbers "##a" in the order of a randomly seeded hash table, and breaks ties by number. Naming the
    # whole alphabet beforehand fixes the numbers.
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[UNKNOWN, *alphabet], show_progress=False, continuing_subword_prefix=inside
    )
    with one_thread():
        learner.train_from_iterator(_in_batches(counts), trainer=trainer)
    learnt = json.loads(learner.to_str())["model"]
    pieces = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    if algorithm == "wordpiece":
        return {"pieces": pieces}
    return {"pieces": pieces, "merges": [list(pair) for pair in learnt["merges"]]}


def learned_wordpieces(counts: Counter[str], size: int) -> list[str]:
    """Pieces of words, at most so many, single characters first; no mark is among them. counts: of words"""
    pieces: list[str] = _merged_model(counts, _alphabet(counts, "wordpiece"), size + 1, "wordpiece")["pieces"]
    return pieces[1:]


def _unigram_model(scored: list[tuple[str, float]]) -> dict[str, Any]:
    return {"pieces": [UNKNOWN, *(piece for piece, _ in scored)], "scores": [0.0, *(score for _, score in scored)]}


def _in_batches(counts: Counter[str]) -> Iterator[list[str]]:
    for word, count in sorted(counts.items()):
        for done in range(0, count, 10_000):
            yield [word] * min(10_000, count - done)


def _encoder(algorithm: Algorithm, model: Mapping[str, Any]) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Trained
    from tokenizers import models

    pieces = _checked_pieces(model)
    numbers = {piece: number for number, piece in enumerate(pieces)}
    if algorithm == "bpe":
        with_keys(model, "pieces", "merges")
        return Trained(models.BPE(vocab=numbers, merges=_checked_merges(model["merges"], numbers), unk_token=UNKNOWN))
    if algorithm == "wordpiece":
        with_keys(model, "pieces")
        return Trained(models.WordPiece(vocab=numbers, unk_token=UNKNOWN, continuing_subword_prefix=INSIDE))
    with_keys(model, "pieces", "scores")
    scores = _checked_scores(model["scores"], len(pieces))
    return Trained(models.Unigram(vocab=list(zip(pieces, scores, strict=True)), unk_id=0))


def _checked_pieces(model: object) -> list[str]:
    pieces = model.get("pieces") if isinstance(model, Mapping) else None
    if not isinstance(pieces, list) or not all(isinstance(piece, str) and piece for piece in pieces):
        raise RunError("tokenizer: expected a list of pieces that are not empty.")
    if len(set(pieces)) < len(pieces) or pieces[:1] != [UNKNOWN]:
        raise RunError(f"tokenizer: expected different pieces, the first of them '{UNKNOWN}'.")
    return pieces


def _checked_merges(merges: object, numbers: Mapping[str, int]) -> list[tuple[str, str]]:
    if not isinstance(merges, list):
        raise RunError("tokenizer: expected a list of merges.")
    for pair in merges:
        known = isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        if not known or not {*pair, "".join(pair)} <= numbers.keys():
            raise RunError(f"tokenizer: the merge {pair!r} is not of two pieces into a third.")
    return [(left, right) for left, right in merges]


def _checked_scores(scores: object, number: int) -> list[float]:
    if not isinstance(scores, list) or len(scores) != number:
        raise RunError(f"tokenizer: expected {number} scores, one for each piece.")
    if not all(isinstance(score, float) and -1e6 < score <= 0 for score in scores):
        raise RunError("tokenizer: expected scores that are log probabilities, from -1e6 to 0.")
    return scores


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the library to one thread: threads would be lost at a fork, and training would depend on their number."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
