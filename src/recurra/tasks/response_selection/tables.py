"""Tables of the report: what the scores are."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.base.contracts import Table
from recurra.metrics.dialogue import CANDIDATES
from recurra.tasks.dialogue.exchanges import RANKED, SEED, Exchange


def scores_table(examples: Sequence[Exchange], words: float) -> Table:
    """What each score is, and of how many rows."""
    asked = sum(bool(one.others) for one in examples)
    ranked = (
        f"the right reply is first, or among the first 5, of {CANDIDATES}: {CANDIDATES - 1} are replies to other rows "
        f"of the split; {asked:,} rows, drawn by what they say (seed {SEED}; {RANKED} at most). By chance 0.1 and 0.5"
    )
    rows = (
        (
            "recall_at_1, recall_at_5",
            f"as replies are chosen, by the cosine of vectors and {words:g} times that of words: {ranked}",
        ),
        ("vector_recall_at_1, vector_recall_at_5", "the same by the cosine of vectors alone"),
        ("baseline tfidf", "the same by the cosine of words alone"),
    )
    return Table("What the scores are", ("score", "what it is"), rows)
