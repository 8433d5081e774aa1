"""Which word is being typed, and which comes next: the most probable ones, while somebody types."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from recurra.data.tokenizers.subwords import INSIDE, SPACE
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.tasks.contract import SuggestedWord
from recurra.tasks.language_model.documents import LINE
from recurra.tasks.language_model.generation import Generator, State

# Beginnings of words that are followed at once, and pieces of a word at most, where words have several tokens.
BEAM, PIECES = 8, 16
# Signs that may stand inside a word, beside letters and digits.
INNER = "'’-_"
LAST = "\U0010ffff"
# Places of a text whose state is kept, so that letters may be taken back.
KEPT = 256


class Suggester:
    """Suggests words at the end of a text, again and again while it grows; only what is new of it is read.

    A key inside a word of a vocabulary of words costs no step of the model, one that ends a word costs one.
    """

    def __init__(self, writer: Generator) -> None:
        self._writer = writer
        self._kind = writer.tokenizer.to_json()
        tokens = writer.vocabulary.tokens(range(len(writer.vocabulary)))[len(SPECIALS) :]
        self._starts = _Pieces((self._text(t), k) for k, t in enumerate(tokens, len(SPECIALS)) if self._may_start(t))
        self._joins = _Pieces((self._text(t), k) for k, t in enumerate(tokens, len(SPECIALS)) if self._may_join(t))
        self._numbers: list[int] = []
        self._states: dict[int, State] = {}  # by how many numbers were read
        self._log_probs = torch.zeros(0, dtype=torch.float32)

    def suggest(self, text: str, number: int = 5) -> list[SuggestedWord]:
        """At most `number` words, the most probable first: those that begin with the letters at the end of the text,
        or where it ends with a space, those that may follow. Nothing where no word of the vocabulary fits."""
        before, typed, pieces = self._cut(text)
        self._read(before)
        if not self._joins.numbers.numel():
            return self._whole(typed, number)
        reads = self._kind["name"] == "characters"
        return self._search(typed, typed if reads else "", pieces, number)

    # -- words that are one token --------------------------------------------------------------------------------------

    def _whole(self, typed: str, number: int) -> list[SuggestedWord]:
        fitting = self._starts.beginning(typed)
        if not fitting.numel():
            return []
        shares = torch.softmax(self._log_probs[fitting].double(), 0)
        best = shares.topk(min(number, len(shares)))
        words = self._writer.vocabulary.tokens(fitting[best.indices].tolist())
        return [SuggestedWord(w, p) for w, p in zip(words, best.values.tolist(), strict=True) if p > 0]

    # -- words of several tokens: beam search --------------------------------------------------------------------------

    def _search(self, typed: str, begun: str, first: _Pieces, number: int) -> list[SuggestedWord]:
        """begun: the part of `typed` that the model has read. Whatever is no piece of a word ends it."""
        alive, log_probs, state = [(0.0, begun)], self._log_probs.unsqueeze(0), self._states[len(self._numbers)]
        found: dict[str, float] = {}
        for depth in range(PIECES):
            longer: list[tuple[float, str, int, int]] = []
            for row, (total, word) in enumerate(alive):
                if word and len(word) >= len(typed):
                    goes_on = float(log_probs[row, self._joins.numbers].double().exp().sum())
                    found[word] = found.get(word, 0.0) + math.exp(total) * max(1 - goes_on, 0.0)
                pieces = first if depth == 0 and not word else self._joins
                longer += self._longer(total, word, typed[len(word) :], pieces, log_probs[row], row)
            longer = sorted(longer, key=lambda one: -one[0])[:BEAM]
            ranked = sorted(found.values(), reverse=True)
            alive = [(total, word) for total, word, _, _ in longer]
            if not alive or (len(ranked) >= number and ranked[number - 1] >= math.exp(alive[0][0])):
                break
            rows = torch.tensor([row for _, _, row, _ in longer], dtype=torch.int64)
            tokens = torch.tensor([token for _, _, _, token in longer], dtype=torch.int64)
            log_probs, state = self._writer.step(tokens, self._writer.select(state, rows))
        whole = sum(found.values()) + sum(math.exp(total) for total, _ in alive)
        best = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:number]
        return [SuggestedWord(word, p / whole) for word, p in best if p > 0]

    def _longer(
        self, total: float, word: str, rest: str, pieces: _Pieces, log_probs: Tensor, row: int
    ) -> list[tuple[float, str, int, int]]:
        fitting = torch.cat([pieces.beginning(rest), pieces.within(rest)])
        values, places = log_probs[fitting].topk(min(BEAM, len(fitting)))
        tokens = fitting[places].tolist()
        return [
            (total + value, word + pieces.texts[token], row, token)
            for value, token in zip(values.tolist(), tokens, strict=True)
            if value > -math.inf
        ]

    # -- the text so far -----------------------------------------------------------------------------------------------

    def _cut(self, text: str) -> tuple[list[int], str, _Pieces]:
        """The numbers to read, the letters of a word that is being typed, and the pieces that may begin it."""
        numbers, _ = self._writer.read(text)
        line = self._writer.tokenizer.tokenize(text.rpartition(LINE)[2])
        if not line or text[-1:].isspace():
            return numbers, "", self._starts
        if self._kind["name"] in ("words", "spaces"):
            last = line[-1]
            return (numbers[:-1], last, self._starts) if _is_word(last) else (numbers, "", self._starts)
        pieces: list[str] = []
        while len(pieces) < len(line) and self._is_part(line[-1 - len(pieces)]):
            pieces.insert(0, line[-1 - len(pieces)])
            if self._may_start(pieces[0]) and self._kind["name"] == "subwords":
                break
        typed = "".join(map(self._text, pieces))
        if self._kind["name"] == "characters":
            return numbers, typed, self._joins if typed else self._starts
        begins = self._starts if not pieces or self._may_start(pieces[0]) else self._joins
        return numbers[: len(numbers) - len(pieces)], typed, begins

    def _read(self, numbers: list[int]) -> None:
        """Have the state and the log-probabilities after these numbers, one at least."""
        if numbers == self._numbers:
            return
        same = next((k for k, (a, b) in enumerate(zip(numbers, self._numbers, strict=False)) if a != b), None)
        same = min(len(numbers), len(self._numbers)) if same is None else same
        # The last number is read anew, for what follows it.
        last = len(numbers) - 1
        self._states = {place: state for place, state in self._states.items() if place <= min(same, last)}
        place = max(self._states, default=0)
        if place < last:
            self._states[last] = self._writer.state(numbers[place:last], self._states.get(place))
        rest = torch.tensor(numbers[last:], dtype=torch.int64)
        log_probs, after = self._writer.step(rest, self._states.get(last, {}))
        self._states[len(numbers)] = after
        for oldest in sorted(self._states)[:-KEPT]:
            del self._states[oldest]
        self._numbers, self._log_probs = list(numbers), log_probs[0]

    # -- what a token is to a word -------------------------------------------------------------------------------------

    def _text(self, token: str) -> str:
        return token.removeprefix(SPACE).removeprefix(INSIDE) if self._kind["name"] == "subwords" else token

    def _is_part(self, token: str) -> bool:
        return self._may_start(token) or self._may_join(token)

    def _may_start(self, token: str) -> bool:
        if self._kind["name"] != "subwords":
            return _is_word(token)
        if self._kind["algorithm"] == "wordpiece":
            return not token.startswith(INSIDE) and _is_word(token)
        return token.startswith(SPACE) and _is_word(token[1:])

    def _may_join(self, token: str) -> bool:
        if self._kind["name"] == "characters":
            return _is_word(token) or token in INNER
        if self._kind["name"] != "subwords":
            return False
        if self._kind["algorithm"] == "wordpiece":
            return token.startswith(INSIDE)
        return not token.startswith(SPACE) and (_is_word(token) or token[0] in INNER)


class _Pieces:
    """Tokens by what they add to a word, sorted, so that those with a beginning are found at once."""

    def __init__(self, pairs: Iterable[tuple[str, int]]) -> None:
        ordered = sorted(pairs)
        self._sorted: Sequence[str] = [text for text, _ in ordered]
        self._by_text = dict(ordered)
        self.numbers = torch.tensor([number for _, number in ordered], dtype=torch.int64)
        self.texts = {number: text for text, number in ordered}

    def beginning(self, letters: str) -> Tensor:
        """Those that begin with these letters, or are just these."""
        return self.numbers[bisect_left(self._sorted, letters) : bisect_left(self._sorted, letters + LAST)]

    def within(self, letters: str) -> Tensor:
        """Those that these letters begin with, and are longer than."""
        found = [self._by_text.get(letters[:k]) for k in range(1, len(letters))]
        return torch.tensor([number for number in found if number is not None], dtype=torch.int64)


def _is_word(token: str) -> bool:
    return token[:1].isalnum()
