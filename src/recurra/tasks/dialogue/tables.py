"""Tables of the report: what was written for some contexts, and what the scores are."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.base.contracts import Table
from recurra.metrics.dialogue import CANDIDATES, MOST_FREQUENT
from recurra.tasks.dialogue.exchanges import RANKED, SEED, Exchange

Row = tuple[Exchange, str, int | None, float]
EXAMPLES = 15
# Characters of a text that a table shows.
SHOWN = 200


def scores_table(examples: Sequence[Exchange]) -> Table:
    """What each score is, and of how many rows."""
    asked = sum(bool(one.others) for one in examples)
    drawn = f"of {asked:,} rows, drawn by what they say (seed {SEED}; {RANKED} at most)"
    rows = (
        ("perplexity", f"exp of the nats of a token of the right reply, its end among them; {len(examples):,} rows"),
        ("recall_at_1, recall_at_5",
         f"the right reply is first, or among the first 5, of {CANDIDATES}: {CANDIDATES - 1} are replies to other rows "
         f"of this split; {drawn}. A model ranks them by the mean log-probability of a token; tfidf by the words that "
         "a reply shares with its context. By chance it is 0.1 and 0.5"),
        ("distinct_1, distinct_2", f"different words, and pairs of words, by all in the written replies; {drawn}"),
        ("length_ratio", f"words of the written replies by those of the right ones; {drawn}"),
        ("dull_share", f"written replies that are among the {MOST_FREQUENT} that training had most often, twice at "
         f"least; {drawn}. The baseline references has the right replies' own"),
    )  # fmt: skip
    return Table("What the scores are", ("score", "what it is"), rows)


def examples_table(rows: Sequence[Row], came: str) -> Table:
    """Contexts with a reply and the right one. rows: with the rank, and how near the context is      came: how the
    reply came to be, in a word
    """
    shown = tuple(
        (
            str(one.origin),
            _short(one.pair.text.replace("\n", " / ")),
            _short(said),
            _short(one.pair.wanted.text if one.pair.wanted else ""),
            "-" if rank is None else rank,
            round(near, 3),
        )
        for one, said, rank, near in _different(rows)
    )
    return Table("Replies", ("place", "context", came, "right", "its rank", "nearness"), shown)


def _different(rows: Sequence[Row]) -> list[Row]:
    """The first of each conversation, as many as are shown."""
    first: dict[bytes, Row] = {}
    for row in rows:
        first.setdefault(row[0].conversation, row)
    return list(first.values())[:EXAMPLES]


def dull_table(dull: Sequence[str], written: Sequence[str]) -> Table:
    """The replies that training had most often, with how often each was written."""
    rows = tuple((text, written.count(text)) for text in dull[:EXAMPLES])
    return Table("Most frequent replies of training", ("reply", "written"), rows)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
