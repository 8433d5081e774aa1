"""Scores beside baselines: as dicts, as text, and as HTML for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Report, Score
from recurra.cli.show import report_json, score_tables, text_table
from recurra.python.markup import heading, table_html


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation:
    """What a run scored. report: all of it, as the verbs of `recurra.api` give it

    A notebook shows it as a table, `print` as text.
    """

    report: Report

    @property
    def title(self) -> str:
        """What was scored on what."""
        return self.report.title

    @property
    def split(self) -> str:
        """What was scored last: test where there is one."""
        return self.report.scores[-1].split

    @property
    def scores(self) -> dict[str, float]:
        """The scores of `split`, by name: accuracy, log_loss, f1[spam], ..."""
        return _by_name(self.report.scores, self.split)

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """The same of each baseline, by its name."""
        return {name: _by_name(scores, self.split) for name, scores in self.report.baselines.items()}

    def to_dict(self) -> dict[str, Any]:
        """As `recurra evaluate RUN --json` prints it: title, scores, baselines, tables, facts."""
        return report_json(self.report)

    def __repr__(self) -> str:
        return "\n\n".join([self.title, *map(text_table, score_tables(self.report))])

    def _repr_html_(self) -> str:
        return heading(self.title) + "".join(map(table_html, score_tables(self.report)))


def _by_name(scores: tuple[Score, ...], split: str) -> dict[str, float]:
    return {score.name: score.value for score in scores if score.split == split}
