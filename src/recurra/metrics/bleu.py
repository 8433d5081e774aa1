"""BLEU and chrF, through sacrebleu, with the signature that makes them comparable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from recurra.base.contracts import Score, Table
from recurra.base.option import Opt
from recurra.metrics.sequences import Pair, require
from recurra.metrics.words import unspaced_letters

# Those of sacrebleu that need no download and no further package.
Cutting = Literal["13a", "intl", "char", "zh", "none"]
# The longest n-grams of BLEU. No language without spaces has words of more letters than this on average.
LONGEST, LETTERS_OF_A_WORD = 4, 4


class Bleu:
    """BLEU and chrF of a corpus, against one reference a row (Papineni et al. 2002; Popovic 2015; Post 2018).

    Raises ConfigError where sacrebleu is not installed.
    """

    main = "bleu"

    def __init__(
        self,
        *,
        tokenize: Annotated[Cutting, Opt("how sacrebleu cuts both sides; none: they are tokenised already")] = "13a",
        lowercase: Annotated[bool, Opt("compare in lower case")] = False,
    ) -> None:
        require("sacrebleu", "scores: translation")
        self._tokenize: str = tokenize
        self._lowercase = lowercase

    @property
    def compares_case(self) -> bool:
        return not self._lowercase

    def scores(self, pairs: Sequence[Pair], split: str) -> tuple[Score, ...]:
        """bleu and chrf, 0..100."""
        bleu, chrf = (metric.corpus_score(*_sides(pairs)) for metric in self._metrics())
        return Score("bleu", bleu.score, "BLEU", "higher", split), Score("chrf", chrf.score, "chrF", "higher", split)

    def tables(self, pairs: Sequence[Pair]) -> tuple[Table, ...]:
        """BLEU in its parts: precision of each n-gram, brevity penalty, lengths; the signatures of both scores."""
        bleu, chrf = self._metrics()
        found = bleu.corpus_score(*_sides(pairs))
        chrf.corpus_score(*_sides(pairs))
        rows: list[tuple[str, str | int | float]] = [
            (f"precision of {n}-grams, %", round(value, 2)) for n, value in enumerate(found.precisions, start=1)
        ]
        rows += [
            ("brevity penalty", round(found.bp, 4)),
            ("tokens written", found.sys_len),
            ("tokens of the references", found.ref_len),
            ("BLEU signature", str(bleu.get_signature())),
            ("chrF signature", str(chrf.get_signature())),
        ]
        return (Table("BLEU in its parts", ("part", "value"), tuple(rows)),)

    def quality(self, pair: Pair) -> float:
        """chrF of the row alone, 0..1: BLEU of one sentence says little."""
        chrf = self._metrics()[1]
        return float(chrf.sentence_score(pair.output, [pair.reference]).score) / 100

    def doubts(self, pairs: Sequence[Pair]) -> tuple[str, ...]:
        """A sentence where no reference has four tokens, and one where its tokens are whole phrases."""
        cut = self._metrics()[0].tokenizer
        tokens = [cut(pair.reference).split() for pair in pairs]
        found = []
        if all(len(some) < LONGEST for some in tokens):
            found.append(
                f"BLEU counts runs of four tokens, and none of {len(pairs):,} references has as many; set task.scores: "
                "exact, or choose epochs by chrf (training.select)."
            )
        unspaced = [token for some in tokens for token in some if unspaced_letters([token])]
        if unspaced_letters(unspaced) > LETTERS_OF_A_WORD * len(unspaced):
            found.append(
                f"BLEU with tokenize: {self._tokenize} takes a phrase of a script without spaces for one token; set "
                "task.scores: {name: translation, tokenize: char}, or zh for Chinese."
            )
        return tuple(found)

    def _metrics(self) -> tuple[Any, Any]:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        # force: a text that ends in " ." is no mistake of the user's, and needs no warning.
        return BLEU(tokenize=self._tokenize, lowercase=self._lowercase, force=True), CHRF(lowercase=self._lowercase)


def _sides(pairs: Sequence[Pair]) -> tuple[list[str], list[list[str]]]:
    return [pair.output for pair in pairs], [[pair.reference for pair in pairs]]
