"""A report as aligned text, or as what JSON has. Only here is a score of 0..1 a percentage."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recurra.base.contracts import Report, Score, Table
from recurra.cli.terminal import console, is_terminal, one_line, put, width

# More than this is no reading matter for a terminal; --json has all of it.
MAX_COLUMNS = 12
MAX_ROWS = 40
MAX_TEXT = 200
_OF_ONE_CLASS = re.compile(r"(?P<metric>[^\[\]]+)\[(?P<label>.*)\]", re.DOTALL)


def show_report(report: Report) -> None:
    """Print a report on standard output: rich tables on a terminal, plain aligned text in a pipe."""
    tables = [*score_tables(report), *report.tables, *facts_table(report.facts)]
    if is_terminal(sys.stdout):
        _show_rich(report.title, tables)
        return
    put("\n\n".join([one_line(report.title), *map(text_table, tables)]))


def report_json(report: Report) -> dict[str, Any]:
    """The report as maps, lists, text and numbers; scores as in scores.json."""
    return {
        "title": report.title,
        "scores": [_score_json(score) for score in report.scores],
        "baselines": {name: [_score_json(score) for score in scores] for name, scores in report.baselines.items()},
        "tables": [
            {"caption": table.caption, "columns": list(table.columns), "rows": [list(row) for row in table.rows]}
            for table in report.tables
        ],
        "facts": dict(report.facts),
    }


def percent_or_number(score: Score) -> str:
    """`93.4 %` for 0..1, else the number with its unit: as in the page."""
    from recurra.report.scores import shown

    return shown(score.value, score.unit)


def score_tables(report: Report) -> Iterator[Table]:
    """The scores with every baseline beside them, and the scores of single classes in a table of their own."""
    found = {(score.split, score.name): _OF_ONE_CLASS.fullmatch(score.name) for score in report.scores}
    whole = [score for score in report.scores if not found[score.split, score.name]]
    if whole:
        yield _against_baselines(whole, report.baselines)
    yield from _by_class(report.scores)


def text_table(table: Table) -> str:
    """A table as aligned text, never wrapped."""
    if len(table.columns) > MAX_COLUMNS:
        return f"{one_line(table.caption)}: {len(table.columns)} columns, too wide for text; --json prints it whole."
    rows = _rows(table)
    lines = _aligned([list(map(one_line, table.columns)), *rows])
    return "\n".join([*([one_line(table.caption)] if table.caption else []), *lines, *_rest(table)])


def _against_baselines(scores: Sequence[Score], baselines: Mapping[str, Sequence[Score]]) -> Table:
    known = {(name, s.split, s.name): s for name, several in baselines.items() for s in several}
    rows = []
    for score in scores:
        others = (known.get((name, score.split, score.name)) for name in baselines)
        beside = (percent_or_number(other) if other else "" for other in others)
        rows.append((score.name, score.split, percent_or_number(score), *beside))
    return Table("", ("score", "split", "this model", *baselines), tuple(rows))


def _by_class(scores: Sequence[Score]) -> Iterator[Table]:
    for split in dict.fromkeys(score.split for score in scores):
        classes: dict[str, dict[str, str]] = {}
        for score in scores:
            if score.split == split and (match := _OF_ONE_CLASS.fullmatch(score.name)):
                classes.setdefault(match["label"], {})[match["metric"]] = percent_or_number(score)
        if classes:
            metrics = tuple(dict.fromkeys(metric for row in classes.values() for metric in row))
            rows = tuple((label, *(row.get(metric, "") for metric in metrics)) for label, row in classes.items())
            what = "class" if "f1" in metrics else "target"
            yield Table(f"by {what}, {split}", (what, *metrics), rows)


def facts_table(facts: Mapping[str, str | int | float]) -> Iterator[Table]:
    """The facts of a report, or of a config; unlike in another table, a fraction is no share."""
    from recurra.report.scores import shown

    if facts:
        rows = tuple((name, value if isinstance(value, str) else shown(value, "")) for name, value in facts.items())
        yield Table("", ("fact", "value"), rows)


def _score_json(score: Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "value": score.value,
        "unit": score.unit,
        "better": score.better,
        "split": score.split,
    }


def _rows(table: Table) -> list[list[str]]:
    """The first cells, each in one line and no longer than can be read."""
    from recurra.report.scores import cells

    return [[_short(one_line(cell)) for cell in row] for row in cells(table)[:MAX_ROWS]]


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length as lines; a column of numbers stands right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(width, column)) for column in columns]
    right = [_is_numeric(column[1:]) for column in columns]
    return ["  ".join(map(_padded, row, widths, right)).rstrip() for row in rows]


def _padded(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def _is_numeric(cells: Sequence[str]) -> bool:
    return any(cells) and all(cell == "" or cell[0].isdigit() or cell[:2].strip("+-").isdigit() for cell in cells)


def _rest(table: Table) -> list[str]:
    left = len(table.rows) - MAX_ROWS
    return [f"... {left} more rows; --json prints them."] if left > 0 else []


def _show_rich(title: str, tables: Sequence[Table]) -> None:
    """On a terminal: the same cells, with headings in bold. Cells are Text, so that no data is read as markup."""
    from rich.text import Text

    screen = console(sys.stdout)
    screen.print(Text(one_line(title), style="bold"))
    for table in tables:
        screen.print()
        if len(table.columns) > MAX_COLUMNS:
            screen.print(Text(text_table(table)))
        else:
            screen.print(_rich_table(table))
            screen.print(*[Text(line) for line in _rest(table)], end="")


def _rich_table(table: Table) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rows = _rows(table)
    caption = Text(one_line(table.caption), style="italic") if table.caption else None
    drawn = RichTable(title=caption, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(table.columns):
        right = _is_numeric([row[number] for row in rows])
        drawn.add_column(Text(one_line(name)), justify="right" if right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn
