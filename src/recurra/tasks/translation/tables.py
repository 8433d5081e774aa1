"""Tables of the report: scores by source length and by group, unknown words, worst and best examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from recurra.base.contracts import Table
from recurra.metrics import Pair, SequenceScores, exact_scores, length_bins, main_score
from recurra.report import Chart, Curve
from recurra.tasks.translation.pairs import TextPair, wanted

WORST, BEST, UNKNOWN = 10, 5, 10
# Characters of an example that a table shows.
SHOWN = 160

Scored = list[tuple[str, int, list[Pair]]]


def by_length(kind: SequenceScores, pairs: Sequence[Pair], examples: Sequence[TextPair]) -> Table:
    """The score that counts, and exact matches, of sources of like lengths."""
    lengths = [len(e.encoded) for e in examples]
    parts = [
        (f"{first}-{last}" if last > first else str(first), _within(pairs, lengths, first, last))
        for first, last in length_bins(lengths)
    ]
    return _compared(kind, f"{kind.main} by source length", "source tokens", parts)


def length_chart(kind: SequenceScores, pairs: Sequence[Pair], examples: Sequence[TextPair]) -> Chart:
    """The same as a curve: the middle of each bin that has rows."""
    lengths = [len(e.encoded) for e in examples]
    points = []
    for first, last in length_bins(lengths):
        if some := _within(pairs, lengths, first, last):
            points.append(((first + last) / 2, main_score(kind, some).value))
    curve = Curve(kind.main, tuple(points))
    return Chart(f"{kind.main} by source length", "source tokens", kind.main, (curve,))


def by_group(kind: SequenceScores, pairs: Sequence[Pair], examples: Sequence[TextPair], column: str) -> Table:
    """The scores of each group, the worst first."""
    groups: dict[str, list[Pair]] = {}
    for pair, example in zip(pairs, examples, strict=True):
        groups.setdefault(wanted(example).group or "(none)", []).append(pair)
    sign = 1 if main_score(kind, pairs).better == "higher" else -1
    ranked = sorted(groups.items(), key=lambda group: (sign * main_score(kind, group[1]).value, group[0]))
    return _compared(kind, f"{kind.main} by {column}", column, ranked)


def unknown_tokens(examples: Sequence[TextPair]) -> Table:
    """The source tokens that training did not know, the most frequent first."""
    counts = Counter(token for e in examples for token in e.encoded.unknown)
    rows = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:UNKNOWN]
    return Table("Unknown source tokens", ("token", "times"), tuple(rows))


def examples_of(kind: SequenceScores, pairs: Sequence[Pair], examples: Sequence[TextPair]) -> tuple[Table, Table]:
    """The rows that came out worst, if any is not right, and those that came out best; the longer source first."""
    quality = [kind.quality(pair) for pair in pairs]
    faulty = [k for k in range(len(pairs)) if quality[k] < 1 or not pairs[k].is_right]
    order = sorted(faulty, key=lambda k: (quality[k], -len(examples[k].encoded), k))
    best = sorted(range(len(pairs)), key=lambda k: (-quality[k], -len(examples[k].encoded), k))
    return (
        _listed("Worst examples", order[:WORST], pairs, examples, quality),
        _listed("Best examples", best[:BEST], pairs, examples, quality),
    )


def _compared(kind: SequenceScores, caption: str, head: str, parts: Sequence[tuple[str, list[Pair]]]) -> Table:
    """A row for each part that has any: its size, the score that counts, exact matches and other right answers."""
    several = any(len(pair.right) > 1 for _, some in parts for pair in some)
    names = [*([kind.main] if kind.main != "exact_match" else []), "exact_match", *(["other_accepted"] * several)]
    rows: list[tuple[str | int | float, ...]] = []
    for name, some in parts:
        if some:
            found = {s.name: s.value for s in (main_score(kind, some), *exact_scores(some, ""))}
            rows.append((name, len(some), *(found.get(n, 0.0) for n in names)))
    return Table(caption, (head, "rows", *names), tuple(rows))


def _listed(
    caption: str, order: Sequence[int], pairs: Sequence[Pair], examples: Sequence[TextPair], quality: Sequence[float]
) -> Table:
    rows = tuple(
        (
            str(examples[k].origin),
            _short(examples[k].text),
            _short(pairs[k].output),
            _short(pairs[k].reference),
            "another accepted answer" if pairs[k].is_right and not pairs[k].is_exact else round(quality[k], 3),
        )
        for k in order
    )
    return Table(caption, ("place", "source", "written", "expected", "quality"), rows)


def _within(pairs: Sequence[Pair], lengths: Sequence[int], first: int, last: int) -> list[Pair]:
    return [pair for pair, length in zip(pairs, lengths, strict=True) if first <= length <= last]


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
