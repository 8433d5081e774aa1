"""report.html: one page that opens from disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recurra.base.contracts import Report, Table
from recurra.report.charts import Chart, svg
from recurra.report.heatmap import HeatMap, heat_svg
from recurra.report.markup import Markup, join, tag
from recurra.report.recordings import RecordingFigure
from recurra.report.recordings import recordings as recording_figures
from recurra.report.scores import shown, splits_of
from recurra.report.style import CSS
from recurra.report.tables import any_table, headline, is_matrix, is_wide, label_table, num_labels, score_table

# The page loads nothing and runs nothing; the browser is told so, in case a label ever got past the escaping.
# Pictures and sounds are part of it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
# More labels than this fold away, so that the confusion matrix stays within reach.
OPEN_LABELS = 12


def html(
    report: Report,
    *,
    charts: Sequence[Chart] = (),
    maps: Sequence[HeatMap] = (),
    recordings: Sequence[RecordingFigure] = (),
    settings: str = "",
    about: str = "Attention",
) -> str:
    """The report as one HTML document, without scripts and without a reference to anything outside it.

    charts: curves to draw      maps: what outputs looked at, under the heading `about`
    recordings: with their sounds, which are in the page
    settings: the resolved settings as text
    Labels, facts and settings are shown as text whatever they hold.
    """
    splits = _test_first(splits_of(report))
    body = tag("main", tag("h1", report.title), *_sections(report, splits, charts, maps, recordings, settings, about))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", report.title),
        tag("style", CSS),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", body), lang="en") + "\n"


def _sections(
    report: Report,
    splits: Sequence[str],
    charts: Sequence[Chart],
    maps: Sequence[HeatMap],
    recordings: Sequence[RecordingFigure],
    settings: str,
    about: str,
) -> Iterator[Markup]:
    if splits:
        yield headline(report, splits[0])
    for split in splits:
        yield _scores(report, split)
    for matrix in filter(is_matrix, report.tables):
        yield _table(matrix)
    yield tag("div", *(_table(table) for table in report.tables if not is_matrix(table)), class_="tables")
    if recordings:
        yield tag("section", tag("h2", "Recordings"), recording_figures(recordings))
    if maps:
        yield tag("section", tag("h2", about), tag("div", *map(heat_svg, maps), class_="charts"))
    if charts:
        yield tag("section", tag("h2", "Curves"), tag("div", *map(svg, charts), class_="charts"))
    if report.facts:
        yield tag("section", tag("h2", "Facts"), _facts(report))
    if settings:
        yield tag("section", tag("details", tag("summary", "Settings"), tag("pre", settings)))


def _test_first(splits: Sequence[str]) -> list[str]:
    """The test split's scores are what the run is judged by; the others keep their order."""
    return sorted(splits, key=lambda split: split != "test")


def _scores(report: Report, split: str) -> Markup:
    labels, count = label_table(report, split), num_labels(report, split)
    tables = [score_table(report, split)]
    if labels and count <= OPEN_LABELS:
        tables.append(labels)
    elif labels:
        tables.append(tag("details", tag("summary", f"{count} labels"), labels))
    return tag("section", tag("h2", f"Scores: {split}"), tag("div", *tables, class_="pair"))


def _table(table: Table) -> Markup:
    return tag("section", tag("h2", table.caption), any_table(table), class_="wide" if is_wide(table) else None)


def _facts(report: Report) -> Markup:
    return tag("dl", *(join(tag("dt", name), tag("dd", _fact(value))) for name, value in report.facts.items()))


def _fact(value: str | int | float) -> str:
    """Text as it is, numbers with their thousands apart; unlike a table's, a fraction is no share."""
    return value if isinstance(value, str) else shown(value, "")
