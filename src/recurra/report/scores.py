"""Scores as plain lists for JSON, and as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

from recurra.base.contracts import Report, Score, Table


def scores_json(report: Report) -> list[dict[str, str | float | None]]:
    """The model's scores, each {"name", "value", "unit", "better", "split"}; a value that is not finite is null."""
    return [_plain(score) for score in report.scores]


def baselines_json(report: Report) -> dict[str, list[dict[str, str | float | None]]]:
    """The same list for each baseline, by its name."""
    return {name: [_plain(score) for score in scores] for name, scores in report.baselines.items()}


def shown(value: float, unit: str) -> str:
    """A number as people read it, in the page and in the terminal: 0..1 as percent, counts whole, else four digits."""
    if not math.isfinite(value):
        return str(value)
    if unit == "0..1":
        return f"{100 * value:.1f} %"
    number = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
    return f"{number} {unit}".strip()


def cells(table: Table) -> list[list[str]]:
    """The cells of a table as text, row by row. A column of numbers from 0 to 1 that are no nats holds shares."""
    columns = [[row[i] for row in table.rows] for i in range(len(table.columns))]
    shares = [
        "nats" not in name and all(0 <= value <= 1 for value in column if isinstance(value, float))
        for name, column in zip(table.columns, columns, strict=True)
    ]
    return [[_cell(value, share=share) for value, share in zip(row, shares, strict=True)] for row in table.rows]


def _cell(value: str | int | float, *, share: bool) -> str:
    if isinstance(value, float):
        return shown(value, "0..1" if share else "")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def in_words(name: str) -> str:
    """A score's name for a headline: f1_macro becomes "F1 macro"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def label_of(name: str) -> tuple[str, str] | None:
    """("f1", "spam") for the name f1[spam]; None for a score of the whole split."""
    metric, bracket, label = name.partition("[")
    return (metric, label[:-1]) if bracket and label.endswith("]") else None


def splits_of(report: Report) -> list[str]:
    """The splits that were scored, in order of first use."""
    return list(dict.fromkeys(score.split for score in report.scores))


def by_name(scores: Iterable[Score], split: str) -> dict[str, Score]:
    """The scores of one split."""
    return {score.name: score for score in scores if score.split == split}


def leader(candidates: dict[str, Score]) -> str | None:
    """The key of the best score; None where no direction is better or nothing is finite."""
    finite = {key: s for key, s in candidates.items() if math.isfinite(s.value) and s.better != "neither"}
    if not finite:
        return None
    sign = {key: s.value if s.better == "higher" else -s.value for key, s in finite.items()}
    return max(sign, key=sign.__getitem__)


def _plain(score: Score) -> dict[str, str | float | None]:
    value = score.value if math.isfinite(score.value) else None
    return {"name": score.name, "value": value, "unit": score.unit, "better": score.better, "split": score.split}
