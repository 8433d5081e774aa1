"""What a text that grows unit by unit is worth beside its frames: language models, hot words, a lexicon."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recurra.base.errors import ConfigError
from recurra.decode.fusion import Fusion


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A text so far. word: letters of the word that is not over; histories: of each language model

    total: nats of what cannot change any more; hot: of a word that may become a hot one
    open: with a lexicon, units of the word that is not over, which its end may leave out
    before: the text without them, None where there are none
    """

    word: str
    histories: tuple[Any, ...]
    total: float
    hot: float = 0.0
    open: int = 0
    before: Text | None = None

    @property
    def score(self) -> float:
        """Nats beside those of the frames."""
        return self.total + self.hot


class Texts:
    """Makes texts longer, and says what they are worth.

    spelling: what each unit adds to a text; a space in front begins a word, so that " " and " the" do
    fusions: language models      hot: nats that a word is worth beside, which the beginnings of it have a share of
    lexicon: the only words there are; None: all
    Raises ConfigError for words, or spaces, where no unit is spelt, and for a word with a space in it.
    """

    def __init__(
        self,
        spelling: Sequence[str] | None,
        fusions: Sequence[Fusion] = (),
        hot: Mapping[str, float] | None = None,
        lexicon: Collection[str] | None = None,
    ) -> None:
        hot = hot or {}
        self._words = any(f.by == "word" for f in fusions) or bool(hot) or lexicon is not None
        if spelling is None and (fusions or self._words):
            raise ConfigError("spelling: is missing; language models, hot words and a lexicon need what units say.")
        if lexicon is not None and not lexicon:
            raise ConfigError("lexicon: is empty, so nothing could be said; expected words, or leave it out.")
        for word in (*hot, *(lexicon or ())):
            if not word or " " in word:
                raise ConfigError(f"'{word}': expected a word without a space in it.")
        if not all(map(math.isfinite, hot.values())):
            raise ConfigError("hot words: expected numbers of nats.")
        self._spelling = spelling or ()
        self._fusions = fusions
        self._hot = dict(hot)
        self._lexicon = None if lexicon is None else frozenset(lexicon)
        self._begun = _shares(self._hot)
        self._possible = None if lexicon is None else frozenset(w[:k] for w in lexicon for k in range(len(w) + 1))

    @property
    def acts(self) -> bool:
        """Whether a text is worth anything beside its frames."""
        return bool(self._fusions) or self._words

    def start(self) -> Text:
        """Nothing said yet."""
        return Text("", tuple(f.scores.start() for f in self._fusions), 0.0)

    def longer(self, asked: Sequence[tuple[Text, int]]) -> list[Text | None]:
        """Each text with one more unit; None where that cannot be."""
        steps = [self._grown(text.word, self._spelling[unit]) for text, unit in asked]
        said = [(text, over, self._spelling[unit]) for (text, unit), (over, _) in zip(asked, steps, strict=True)]
        totals, histories = self._scored(said)
        return [
            None if total == -math.inf or not self._may_be(over, word) else self._made(text, over, word, total, history)
            for (text, over, _), (_, word), total, history in zip(said, steps, totals, histories, strict=True)
        ]

    def ended(self, texts: Sequence[Text]) -> list[float]:
        """What each text is worth as a whole: -inf where it cannot end so."""
        totals, histories = self._scored([(text, text.word, None) for text in texts])
        for k, fusion in enumerate(self._fusions):
            for i, log_p in enumerate(fusion.scores.end([history[k] for history in histories])):
                totals[i] += _weighed(fusion, log_p)
        return [
            total + self._hot.get(text.word, 0.0) if self._may_be(text.word, "") else -math.inf
            for text, total in zip(texts, totals, strict=True)
        ]

    def whole(self, texts: Sequence[Text]) -> tuple[list[float], list[int]]:
        """What each text is worth as a whole, and how many of its last units are left out for that.

        These are none, unless no text can end as it is: then those of the word that is not over, so that a recording
        which ends within a word has the words before it.
        """
        scores = self.ended(texts)
        if self._lexicon is None or max(scores, default=0.0) > -math.inf:
            return scores, [0] * len(texts)
        return self.ended([text.before or text for text in texts]), [text.open for text in texts]

    def _grown(self, word: str, spelt: str) -> tuple[str, str]:
        """The word that is over now, if any, and the one that is not."""
        return (word, spelt[1:]) if spelt.startswith(" ") else ("", word + spelt)

    def _may_be(self, over: str, word: str) -> bool:
        if self._lexicon is None or self._possible is None:
            return True
        return (not over or over in self._lexicon) and word in self._possible

    def _made(self, text: Text, over: str, word: str, total: float, histories: tuple[Any, ...]) -> Text:
        total, hot = total + self._hot.get(over, 0.0), self._begun.get(word, 0.0)
        if self._lexicon is None or not word:
            return Text(word, histories, total, hot)
        if text.word and not over:
            return Text(word, histories, total, hot, text.open + 1, text.before)
        return Text(word, histories, total, hot, 1, replace(text, open=0, before=None) if text.before else text)

    def _scored(self, said: Sequence[tuple[Text, str, str | None]]) -> tuple[list[float], list[tuple[Any, ...]]]:
        """Totals and histories after a word that is over, and after a unit, where there are such."""
        totals, histories = [text.total for text, _, _ in said], [list(text.histories) for text, _, _ in said]
        for k, fusion in enumerate(self._fusions):
            tokens = [over if fusion.by == "word" else unit for _, over, unit in said]
            asked = [(i, histories[i][k], token) for i, token in enumerate(tokens) if token]
            for (i, _, _), (log_p, after) in zip(
                asked, fusion.scores.score([(history, token) for _, history, token in asked]), strict=True
            ):
                totals[i] += _weighed(fusion, log_p) + fusion.bonus
                histories[i][k] = after
        return totals, [tuple(h) for h in histories]


def _weighed(fusion: Fusion, log_p: float) -> float:
    """What has no weight rules nothing out: 0 times minus infinity is no number."""
    return fusion.weight * log_p if fusion.weight else 0.0


def _shares(hot: Mapping[str, float]) -> dict[str, float]:
    """What the beginning of a hot word has of its nats: the share of its letters; of several the most."""
    found: dict[str, float] = {}
    for word, nats in hot.items():
        for k in range(1, len(word) + 1):
            share = nats * k / len(word)
            found[word[:k]] = max(found.get(word[:k], share), share)
    return found
