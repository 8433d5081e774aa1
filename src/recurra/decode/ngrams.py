"""A language model of n-grams from an ARPA file, as SRILM and KenLM write them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from recurra.base.errors import DataError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
# A dictionary of them takes about 200 bytes each.
MOST_NGRAMS = 5_000_000
MOST_WORDS = 9
LONGEST_LINE = 10_000
LONGEST_COUNT = 20
LN_10 = math.log(10)
# Other spaces, such as that of Chinese and Japanese text, may be tokens.
BETWEEN = " \t"
# How files of characters write the space, which stands between their tokens.
SPACES = ("<space>", "|", "\N{LOWER ONE EIGHTH BLOCK}")

Gram = tuple[str, ...]


class NGrams:
    """p of a token after those before it, with the weights of shorter n-grams where a longer one was never seen.

    grams: (ln p, ln weight of falling back) of each      order: tokens of the longest
    unknown: nats of a token that is not in the file. Where that has <unk>, such a token is one, in longer n-grams too
    space: how the space is written, where tokens are characters; None: they are words
    Source: Katz 1987, "Estimation of probabilities from sparse data", equation for backing off.
    """

    def __init__(
        self, grams: dict[Gram, tuple[float, float]], order: int, *, unknown: float = -10.0, space: str | None = None
    ) -> None:
        self._grams, self._order = grams, order
        self._unknown, self._has_unknown = unknown, (UNKNOWN,) in grams
        self._space = space

    @property
    def of_characters(self) -> bool:
        """Whether tokens are characters, the space among them."""
        return self._space is not None

    @classmethod
    def read(cls, path: Path, *, unknown: float = -10.0) -> NGrams:
        """A file with its log10 probabilities. Its tokens are characters where each is one, but for one of SPACES.

        Raises DataError, with file and line, for what is no ARPA file.
        """
        try:
            with path.open(encoding="utf-8") as file:
                grams, order = _parsed(path, _lines(path, file))
            return cls(grams, order, unknown=unknown, space=_space(gram[0] for gram in grams if len(gram) == 1))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: expected UTF-8; a compressed file has to be unpacked first.") from error

    def start(self) -> Gram:
        """The beginning, if the file knows it."""
        return (START,) if (START,) in self._grams else ()

    def score(self, asked: Sequence[tuple[Gram, str]]) -> list[tuple[float, Gram]]:
        """ln p of each token after its history, and the history with it."""
        return [self._score(history, token) for history, token in asked]

    def end(self, histories: Sequence[Gram]) -> list[float]:
        """ln p of the end; 0 where the file has none."""
        if (END,) not in self._grams:
            return [0.0] * len(histories)
        return [self._score(history, END)[0] for history in histories]

    def knows(self, word: str) -> bool:
        """Whether the file has it."""
        return (word,) in self._grams

    def alone(self, word: str) -> float:
        """ln p of a word by its unigram."""
        return self._score((), word)[0]

    def _score(self, history: Gram, token: str) -> tuple[float, Gram]:
        if (token,) not in self._grams:
            if self._space is not None and token.isspace():
                token = self._space
            elif self._has_unknown:
                token = UNKNOWN
        kept = (*history, token)[1 - self._order :] if self._order > 1 else ()
        total = 0.0
        for begin in range(len(history) + 1):
            found = self._grams.get((*history[begin:], token))
            if found is not None:
                return total + found[0], kept
            total += self._grams.get(history[begin:], (0.0, 0.0))[1]
        return total + self._unknown, kept


def _space(tokens: Iterable[str]) -> str | None:
    """The sign of the space among tokens that are characters; None: they are words."""
    longer = {token for token in tokens if len(token) > 1 or token in SPACES} - {START, END, UNKNOWN}
    return longer.pop() if len(longer) == 1 and longer <= set(SPACES) else None


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers; of one that is too long no more is read than shows it."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{path}:{number}: a line of more than {LONGEST_LINE:,} characters; expected an n-gram.")
        if line := line.strip(BETWEEN + "\n"):
            yield number, line


def _parsed(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[dict[Gram, tuple[float, float]], int]:
    grams: dict[Gram, tuple[float, float]] = {}
    announced: dict[int, int] = {}
    order = -1  # before the header; 0 in it
    for number, line in lines:
        if line == "\\end\\":
            break
        if line.startswith("\\"):
            order = _section(path, number, line, order, announced)
        elif order < 1:
            _announce(path, number, line, order, announced)
        else:
            gram, numbers = _gram(path, number, line, order)
            grams[gram] = numbers
            _refuse_many(path, number, len(grams))
    else:
        raise DataError(f"{path}: ends without \\end\\; expected a whole ARPA file.")
    if not grams:
        raise DataError(f"{path}: has no n-grams; expected a language model.")
    for size, count in announced.items():
        found = sum(len(gram) == size for gram in grams)
        if found != count:
            raise DataError(f"{path}: {found:,} {size}-grams, but its header says {count:,}; the file is not whole.")
    return grams, max(announced, default=1)


def _announce(path: Path, number: int, line: str, order: int, announced: dict[int, int]) -> None:
    """How many n-grams there are of a size, as the header says."""
    size, _, count = line.removeprefix("ngram ").partition("=")
    if order < 0 or not line.startswith("ngram ") or not (_is_count(size) and _is_count(count)):
        raise DataError(f"{path}:{number}: expected an ARPA file, \\data\\ and 'ngram 1=...', got '{line[:60]}'.")
    if int(size) != len(announced) + 1 or int(size) > MOST_WORDS:
        raise DataError(
            f"{path}:{number}: expected the number of {len(announced) + 1}-grams, {MOST_WORDS} words at most, "
            f"got '{line[:60]}'."
        )
    announced[int(size)] = int(count)
    _refuse_many(path, number, sum(announced.values()))


def _is_count(text: str) -> bool:
    return text.strip().isdecimal() and len(text) < LONGEST_COUNT


def _refuse_many(path: Path, number: int, count: int) -> None:
    if count > MOST_NGRAMS:
        raise DataError(f"{path}:{number}: more than {MOST_NGRAMS:,} n-grams; prune the model.")


def _section(path: Path, number: int, line: str, order: int, announced: dict[int, int]) -> int:
    expected = "\\data\\" if order < 0 else f"\\{order + 1}-grams:"
    if line != expected or (order >= 0 and order + 1 not in announced):
        raise DataError(f"{path}:{number}: expected {expected} or \\end\\, got '{line[:60]}'.")
    return order + 1


def _gram(path: Path, number: int, line: str, order: int) -> tuple[Gram, tuple[float, float]]:
    cells = [cell for cell in line.replace("\t", " ").split(" ") if cell]
    try:
        log_p, weight = LN_10 * float(cells[0]), LN_10 * float(cells[order + 1]) if len(cells) == order + 2 else 0.0
    except ValueError:
        cells = []
    if len(cells) not in (order + 1, order + 2) or not (log_p <= 0 and weight < math.inf):
        raise DataError(f"{path}:{number}: expected log10 p, {order} words and perhaps a weight, got '{line[:60]}'.")
    return tuple(cells[1 : order + 1]), (log_p, weight)
