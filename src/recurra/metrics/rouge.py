"""ROUGE, through rouge-score."""

from __future__ import annotations

import string
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Any, Literal

from recurra.base.contracts import Score, Table
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.metrics.sequences import Pair, rate, require
from recurra.metrics.words import letters_of, words_of

KINDS = ("rouge1", "rouge2", "rougeL")


class Rouge:
    """ROUGE-1, ROUGE-2 and ROUGE-L: F1 of each row, averaged over rows (Lin 2004).

    Raises ConfigError where rouge-score is not installed, or for a stemmer of another language than English.
    """

    main = "rougeL"
    compares_case = False

    def __init__(
        self,
        *,
        words: Annotated[
            Literal["english", "any"],
            Opt(
                "english: runs of a-z and 0-9, as published; any: all letters and digits, of scripts without spaces "
                "(Chinese, Japanese, Thai) each letter"
            ),
        ] = "english",
        stemmer: Annotated[bool, Opt("count word stems (Porter), as many papers do; English only")] = False,
    ) -> None:
        require("rouge_score", "scores: summarization")
        if stemmer and words == "any":
            raise ConfigError("stemmer: has no effect with words: any; leave it out, or set words: english.")
        self._words = words
        self._stemmer = stemmer

    def scores(self, pairs: Sequence[Pair], split: str) -> tuple[Score, ...]:
        """rougeL, rouge1 and rouge2, 0..1."""
        scorer = self._scorer()
        rows = [scorer.score(pair.reference, pair.output) for pair in pairs]
        return tuple(rate(kind, fmean(row[kind].fmeasure for row in rows), "higher", split) for kind in KINDS)

    def tables(self, pairs: Sequence[Pair]) -> tuple[Table, ...]:
        """How the scores were made."""
        how = (("words", self._words), ("stemmer", "Porter" if self._stemmer else "none"), ("average", "of rows, F1"))
        return (Table("ROUGE", ("setting", "value"), how),)

    def quality(self, pair: Pair) -> float:
        """ROUGE-L of the row alone."""
        return float(self._scorer().score(pair.reference, pair.output)["rougeL"].fmeasure)

    def doubts(self, pairs: Sequence[Pair]) -> tuple[str, ...]:
        """A sentence where most letters of the references are left out."""
        letters = letters_of("".join(pair.reference for pair in pairs).lower())
        counted = sum(letters.count(letter) for letter in string.ascii_lowercase)
        if self._words == "any" or 2 * counted >= len(letters):
            return ()
        return (
            f"ROUGE with words: english counts a-z and 0-9 alone, and {100 * counted / len(letters):.0f} % of the "
            "letters of the references are a-z; set task.scores: {name: summarization, words: any}.",
        )

    def _scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(KINDS, use_stemmer=self._stemmer, tokenizer=None if self._words == "english" else _Words())


class _Words:
    """Words of any script, in lower case; rouge-score's own drops everything but a-z and 0-9."""

    def tokenize(self, text: str) -> list[str]:
        return words_of(text.lower())
