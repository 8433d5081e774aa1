"""Inspect: what goes on inside a trained model while it answers one text, or one series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, refusal
from recurra.api.inference import device_of
from recurra.base.contracts import Origin, Record, Report, Table
from recurra.base.errors import ConfigError, DataError
from recurra.doctor.hooks import Seen, watching
from recurra.doctor.maps import gate_maps, in_pieces, state_maps
from recurra.doctor.saliency import POINTS, Saliency, integrated_gradients
from recurra.report import Chart, HeatMap
from recurra.tasks import Explains
from recurra.tasks.blank import is_blank
from recurra.tasks.explanation import ExplanationTarget

# Longer texts and series make no picture, and keep every value of every step in memory.
MOST_STEPS_SHOWN = 1000
# Tokens of all copies of a text together; with 512 units of an LSTM in two directions these take 300 MB.
MOST_STEPS = 12_800
FEWEST_POINTS = 12
# Features in the table of what each adds.
MOST_FEATURES = 12


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was seen. answer: as `predict` gives it; meaning: what the saliency explains; lines: such as a tree.

    text: what was answered, or the name of a row without text      unit: what a token is called
    features: names of the numbers that a step reads, where these mean something
    """

    text: str
    answer: Mapping[str, Any]
    tokens: tuple[str, ...]
    saliency: Saliency
    meaning: str
    gates: tuple[HeatMap, ...]
    states: tuple[HeatMap, ...]
    maps: tuple[HeatMap, ...]
    tables: tuple[Table, ...]
    lines: tuple[str, ...]
    unit: str
    features: tuple[str, ...]
    charts: tuple[Chart, ...] = ()

    @property
    def by_feature(self) -> Table | None:
        """What each feature adds over all steps, the largest first; None where features have no names."""
        sums = {name: math.fsum(values) for name, values in self.parts.items()}
        largest = sorted(sums.items(), key=lambda pair: -abs(pair[1]))[:MOST_FEATURES]
        rows = tuple((name, f"{value:+.4f}") for name, value in largest)
        return Table(f"Saliency of each feature, over all {self.unit}s", ("feature", "adds"), rows) if rows else None

    @property
    def parts(self) -> Mapping[str, tuple[float, ...]]:
        """What each feature adds at each step, the last feature first; those that add nothing are left out."""
        columns = zip(self.features, zip(*self.saliency.parts, strict=True), strict=True) if self.features else ()
        return {name: values for name, values in reversed(list(columns)) if any(values)}

    @property
    def saliency_maps(self) -> tuple[HeatMap, ...]:
        """The saliency as a map beside its largest value: a row for each feature, or one row."""
        rows = self.parts if self.features else {"saliency": self.saliency.steps}
        largest = max((abs(value) for row in rows.values() for value in row), default=0.0) or 1.0
        weights = [[value / largest for value in row] for row in rows.values()]
        title = f"Saliency, blue adds and orange takes away: {self.meaning}"
        return tuple(in_pieces(title, list(rows), self.tokens, weights)) if rows else ()

    @property
    def pictures(self) -> tuple[HeatMap, ...]:
        """All maps, in the order in which people read them."""
        return (*self.saliency_maps, *self.maps, *self.gates, *self.states)

    def report(self, title: str) -> Report:
        """The page's tables and facts."""
        rows = tuple(
            (t.strip() or "\u2423", f"{s:+.4f}") for t, s in zip(self.tokens, self.saliency.steps, strict=True)
        )
        features = () if self.by_feature is None else (self.by_feature,)
        tables = (*self.tables, *features, Table(f"Saliency: {self.meaning}", (self.unit, "adds"), rows))
        if self.lines:
            first, *rest = self.lines
            tables = (
                Table(first.rstrip(":"), ("tree",), tuple((line.replace(" ", "\xa0"),) for line in rest)),
                *tables,
            )
        said = {k: v for k, v in self.answer.items() if isinstance(v, str | int | float)}
        facts = {
            **said,
            "with all that was read": f"{self.saliency.whole:.4f}",
            "with nothing in its place": f"{self.saliency.nothing:.4f}",
            f"the {self.unit}s together add": f"{sum(self.saliency.steps):.4f}, which misses the difference by "
            f"{abs(self.saliency.gap):.1g}",
        }
        return Report(title, (), tables=tables, facts=facts)


@in_float32
def inspect(
    run: AnyPath | OpenRun,
    text: str | Mapping[str, Any] | Record,
    *,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
) -> Inspection:
    """Look inside a run while it answers a text or a series: gates, states, saliency, and what its task has besides.

    text: or a row as a dict, with all that the task reads
    Raises DataError for a text without tokens, a series without steps, and what is too long to show; ConfigError for a
    task or model without anything to look into; RunError for a damaged folder.
    """
    trained = opened(run, cells)
    if not isinstance(trained.task, Explains):
        name = trained.settings.tree["task"]["name"]
        raise ConfigError(f"{trained.folder.path}: is a run of task {name}, which inspect cannot look into yet.")
    where = device_of(device)
    trained.model.to(where).eval()
    record = _record(trained, text)
    example = _example(trained, record)
    target = trained.task.explain(trained.model, example, where)
    pairs = list(_seen(trained.model, target))
    return Inspection(
        _text(trained, record) or target.name or str(record.origin),
        target.answer,
        target.tokens,
        _saliency(target.model or trained.model, target),
        target.meaning,
        tuple(m for one, tokens in pairs for m in gate_maps(one, tokens)),
        tuple(m for one, tokens in pairs for m in state_maps(one, tokens)),
        target.maps,
        target.tables,
        target.lines,
        target.unit,
        target.features,
        target.charts,
    )


def _record(trained: OpenRun, given: object) -> Record:
    """The row to look into. Raises ConfigError for what is none."""
    field = trained.settings.plan.inputs[0]
    if isinstance(given, Record):
        return given
    if isinstance(given, str):
        return Record({field.name: given}, Origin("argument", 1))
    if isinstance(given, Mapping) and (field.kind != "text" or isinstance(given.get(field.name), str)):
        return Record(dict(given), Origin("argument", 1))
    what = f"a text (str), or a dict with one under '{field.name}'" if field.kind == "text" else "a row as a dict"
    found = given.get(field.name) if field.kind == "text" and isinstance(given, Mapping) else given
    raise refusal("text", what, found)


def _text(trained: OpenRun, record: Record) -> str:
    """What a row says, where that is a text; else ""."""
    found = record.fields.get(trained.settings.plan.inputs[0].name)
    return found if isinstance(found, str) else ""


def _example(trained: OpenRun, record: Record) -> Any:
    """A row as an example. Raises DataError where there is nothing in it, or too much."""
    example = trained.task.example(record, gold=False)
    text, of_text = _text(trained, record), trained.settings.plan.inputs[0].kind == "text"
    unit, what = ("token", f"the text {text!r:.60}") if of_text else ("step", f"{record.origin}")
    if (of_text and is_blank(text)) or not example.length:
        raise DataError(f"{what} holds no {unit}, so there is nothing to inspect. Give one that is not empty.")
    if example.length > MOST_STEPS_SHOWN:
        which = "the text" if of_text else f"{record.origin}: the series"
        raise DataError(f"{which} has {example.length:,} {unit}s, expected at most {MOST_STEPS_SHOWN:,}. Cut it.")
    return example


def _seen(model: torch.nn.Module, target: ExplanationTarget) -> Iterator[tuple[Seen, Sequence[str]]]:
    """The layers that read tokens, each with those."""
    with torch.no_grad(), watching(model) as seen:
        model(target.copies(1))
    for one in seen:
        for name, tokens in target.reads.items():
            # Layers that are asked again for each step to come, or once for several, do not read these tokens.
            if one.module.startswith(name) and len(one.trail.moments) == len(tokens):
                yield one, tokens


def points_for(num_tokens: int) -> int:
    """Points of the path integral: fewer for a long text, since each point is a copy of it, kept whole in memory."""
    return max(FEWEST_POINTS, min(POINTS, MOST_STEPS // max(num_tokens, 1)))


def _saliency(model: torch.nn.Module, target: ExplanationTarget) -> Saliency:
    """Of each token that is read, in the order of the text."""
    points = points_for(len(target.tokens))
    found = integrated_gradients(model, target.entry, target.copies, target.score, points=points)
    return Saliency(found.parts[::-1], found.whole, found.nothing) if target.backwards else found
