"""Tables of the page: scores beside baselines, scores per label, the heat map, and any other Table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recurra.base.contracts import Report, Score, Table
from recurra.report.markup import Markup, join, tag
from recurra.report.scores import by_name, cells, in_words, label_of, leader, shown

# 100 labels are 10,000 cells and about a megabyte; beyond that the most confused pairs say more.
MOST_LABELS = 100
# A cell with more characters than this would be a narrow column of many lines beside another table.
LONG_TEXT = 40
# Above this opacity of the blue or orange, white text has the better contrast on both themes.
WHITE_TEXT = 0.7


def headline(report: Report, split: str) -> Markup:
    """The first four scores of one split in large figures, each with its distance from the strongest baseline.

    The strongest baseline is the best one at the first of these scores, and is the same one for all four.
    """
    scores = [s for s in by_name(report.scores, split).values() if label_of(s.name) is None]
    first = sorted(scores, key=_rank)[:4]
    rivals = {name: by_name(found, split) for name, found in report.baselines.items()}
    best = leader({name: found[first[0].name] for name, found in rivals.items() if first and first[0].name in found})
    return tag(
        "div", *(_card(score, best, rivals[best].get(score.name) if best else None) for score in first), class_="cards"
    )


def score_table(report: Report, split: str) -> Markup:
    """Scores of the whole split: the model's, then each baseline's; the best of a row is bold."""
    columns = {"model": by_name(report.scores, split)}
    columns |= {name: by_name(scores, split) for name, scores in report.baselines.items()}
    names = [name for name in columns["model"] if label_of(name) is None]
    rows = [
        _score_row(name, {c: found[name] for c, found in columns.items() if name in found}, list(columns))
        for name in names
    ]
    head = tag("tr", tag("th", "score", scope="col"), *(tag("th", c, scope="col", class_="n") for c in columns))
    return _scrolling(tag("table", tag("thead", head), tag("tbody", *rows)))


def label_table(report: Report, split: str) -> Markup | None:
    """A row for each label, or target: precision, recall, F1, support, and the baselines' F1; None without any."""
    found = _per_label(report.scores, split)
    if not found:
        return None
    metrics = list(dict.fromkeys(metric for scores in found.values() for metric in scores))
    rivals = {name: _per_label(scores, split) for name, scores in report.baselines.items()}
    labels = "f1" in metrics  # else numbers to predict
    rivals = rivals if labels else {}
    heads = ["label" if labels else "target", *metrics, *(f"f1, {name}" for name in rivals)]
    head = tag("tr", *(tag("th", text, scope="col", class_="n" if i else None) for i, text in enumerate(heads)))
    rows = [
        tag(
            "tr",
            tag("th", label, scope="row", class_="text"),
            *(_number(scores.get(metric), bar=metric == "f1") for metric in metrics),
            *(_number(rival.get(label, {}).get("f1")) for rival in rivals.values()),
        )
        for label, scores in found.items()
    ]
    return _scrolling(tag("table", tag("thead", head), tag("tbody", *rows)))


def num_labels(report: Report, split: str) -> int:
    """How many labels have scores of their own."""
    return len(_per_label(report.scores, split))


def any_table(table: Table) -> Markup:
    """A Table as it is: numbers to the right, shares as percent. A matrix is a heat map."""
    if is_matrix(table):
        return heat_map(table)
    if not table.rows:
        return tag("p", "None.", class_="note")
    number = [all(isinstance(row[i], int | float) for row in table.rows) for i in range(len(table.columns))]
    style = ["n" if right else "text" for right in number]
    head = tag("tr", *(tag("th", c, scope="col", class_=s) for c, s in zip(table.columns, style, strict=True)))
    rows = [tag("tr", *(tag("td", v, class_=s) for v, s in zip(row, style, strict=True))) for row in cells(table)]
    return _scrolling(tag("table", tag("thead", head), tag("tbody", *rows)))


def is_wide(table: Table) -> bool:
    """Whether a table holds texts: such a one takes the width of the page."""
    lengths = [len(value) for row in table.rows for value in row if isinstance(value, str)]
    return max(lengths, default=0) > LONG_TEXT


def is_matrix(table: Table) -> bool:
    """Whether the rows are counts under the same names as the columns (there may be further rows)."""
    names = table.columns[1:]
    return (
        len(names) > 1
        and tuple(row[0] for row in table.rows[: len(names)]) == names
        and all(isinstance(value, int) for row in table.rows for value in row[1:])
    )


def heat_map(table: Table) -> Markup:
    """Counts on colour: blue where row and column agree, orange where they do not; depth is the share of the row."""
    names = table.columns[1:]
    if len(names) > MOST_LABELS:
        return tag("p", f"{len(names)} labels are too many to show as a matrix.", class_="note")
    heads = [tag("th", tag("span", name), scope="col", title=name) for name in names]
    rows = [tag("tr", tag("th", row[0], scope="row", title=row[0]), *_heat_cells(row, names)) for row in table.rows]
    size = "few" if len(names) <= 12 else "many"
    matrix = tag("table", tag("thead", tag("tr", tag("td"), *heads)), tag("tbody", *rows), class_=f"heat {size}")
    key = "Blue: right. Orange: mistaken. Deeper colour: a larger share of the row. Empty: 0."
    return join(_scrolling(matrix), tag("p", key, class_="note"))


def _rank(score: Score) -> int:
    """Micro averages repeat accuracy, precision and recall are two halves of F1, and a score of which neither way is
    better says nothing alone: these are no headlines."""
    repeats = score.name.endswith("_micro") or score.name.startswith(("precision", "recall"))
    return int(repeats or score.better == "neither")


def _card(score: Score, rival: str | None, other: Score | None) -> Markup:
    number, _, unit = shown(score.value, score.unit).partition(" ")
    return tag(
        "div",
        tag("span", f"{in_words(score.name)}, {score.split}", class_="what"),
        tag("span", number, tag("small", f" {unit}") if unit else "", class_="value"),
        _distance(score, rival, other.value) if rival and other else "",
        class_="card",
    )


def _distance(score: Score, name: str, other: float) -> Markup:
    """How far the model is from the best baseline, in points of percent or in the score's unit."""
    ahead = score.value > other if score.better == "higher" else score.value < other
    gap = abs(score.value - other)
    if not math.isfinite(gap) or score.better == "neither":
        return join()
    size = f"{100 * gap:.1f} points" if score.unit == "0..1" else f"{gap:.3g} {score.unit}"
    word = "better" if ahead else "worse"
    text = f"{size} {word} than {name}" if gap else f"the same as {name}"
    return tag("span", text, class_=f"gap {word if gap else ''}".strip())


def _score_row(name: str, found: dict[str, Score], columns: Sequence[str]) -> Markup:
    best = leader(found) if len(found) > 1 else None
    cells = [
        tag(
            "td",
            shown(found[c].value, found[c].unit) if c in found else "",
            class_=("n best" if c == best else "n") + (" unit" if c in found and found[c].unit != "0..1" else ""),
        )
        for c in columns
    ]
    return tag("tr", tag("th", name, scope="row"), *cells)


def _per_label(scores: Sequence[Score], split: str) -> dict[str, dict[str, Score]]:
    """label -> metric -> score."""
    found: dict[str, dict[str, Score]] = {}
    for name, score in by_name(scores, split).items():
        if pair := label_of(name):
            found.setdefault(pair[1], {})[pair[0]] = score
    return found


def _number(score: Score | None, *, bar: bool = False) -> Markup:
    if score is None:
        return tag("td")
    text = shown(score.value, score.unit if score.unit == "0..1" else "")
    return tag("td", text, class_="n bar" if bar else "n", style=f"--w:{100 * score.value:.0f}%" if bar else None)


def _heat_cells(row: tuple[str | int | float, ...], names: tuple[str, ...]) -> list[Markup]:
    counts = [int(value) for value in row[1:]]
    return [_heat_cell(str(row[0]), said, count, sum(counts)) for said, count in zip(names, counts, strict=True)]


def _heat_cell(true: str, said: str, count: int, total: int) -> Markup:
    if not count:
        return tag("td")
    share = count / total
    # A mistake of 4 % is worth seeing: the square root gives it a fifth of the colour.
    depth = share if true == said else math.sqrt(share)
    return tag(
        "td",
        f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k",
        class_=("hit" if true == said else "miss") + (" deep" if depth > WHITE_TEXT else ""),
        style=f"--a:{max(depth, 0.06):.2f}",
        title=f"{true} → {said}: {count:,} of {total:,} ({100 * share:.1f} %)",
    )


def _scrolling(table: Markup) -> Markup:
    """A wide table scrolls in its own box, so that the page of a phone does not."""
    return tag("div", table, class_="scroll")
