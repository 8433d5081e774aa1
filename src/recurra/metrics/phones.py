"""Word and phone error rates of grapheme to phoneme; the edit distance is jiwer's."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.base.contracts import Score, Table
from recurra.metrics.sequences import Pair, rate, require


class Phones:
    """WER, the share of words with a mistake in them, and PER, edits per phone of the references.

    A row is a word, its phones between spaces (Gorman et al. 2020, SIGMORPHON shared task 1, section 4).
    Raises ConfigError where jiwer is not installed.
    """

    main = "wer"
    compares_case = False

    def __init__(self) -> None:
        require("jiwer", "scores: grapheme_to_phoneme")

    def scores(self, pairs: Sequence[Pair], split: str) -> tuple[Score, ...]:
        """wer, 0..1, and per, from 0: it passes 1 where more is wrong than there should be."""
        wrong = sum(not pair.is_right for pair in pairs)
        return rate("wer", wrong / len(pairs), "lower", split), rate("per", _per(pairs), "lower", split)

    def tables(self, pairs: Sequence[Pair]) -> tuple[Table, ...]:
        """None."""
        return ()

    def quality(self, pair: Pair) -> float:
        """1 - PER of the row alone, 0 at least."""
        return max(1 - _per([pair]), 0.0)

    def doubts(self, pairs: Sequence[Pair]) -> tuple[str, ...]:
        """A sentence where every answer is one phone, so that a wrong phone is a wrong word."""
        rows = [pair.right[0] for pair in pairs]
        if any(len(row.split()) > 1 for row in rows) or all(len(row) < 2 for row in rows):
            return ()
        return (
            f"per counts what stands between spaces, and none of {len(rows):,} references has a space, so that per "
            "says what wer does; put spaces between the phones, and set task.target_tokenizer: spaces.",
        )


def _per(pairs: Sequence[Pair]) -> float:
    """Edits of all rows by phones of all references; a row that is another accepted answer has none."""
    import jiwer

    nearest = [pair.output if pair.is_right else pair.right[0] for pair in pairs]
    return float(jiwer.wer(nearest, [pair.output for pair in pairs]))
