"""Inspect: what goes on inside a trained model while it answers one text."""

from __future__ import annotations

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
from recurra.report import HeatMap
from recurra.tasks import Explains
from recurra.tasks.blank import is_blank
from recurra.tasks.explanation import ExplanationTarget

# Longer texts make no picture, and keep every value of every step in memory.
MOST_TOKENS = 1000
# Tokens of all copies of a text together; with 512 units of an LSTM in two directions these take 300 MB.
MOST_STEPS = 12_800
FEWEST_POINTS = 12


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was seen. answer: as `predict` gives it; meaning: what the saliency explains; lines: such as a tree.

    unit: what a token is called      features: names of the numbers that a step reads, where these mean something
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
        tables = (*self.tables, Table(f"Saliency: {self.meaning}", (self.unit, "adds"), rows))
        if self.lines:
            first, *rest = self.lines
            tables = (
                Table(first.rstrip(":"), ("tree",), tuple((line.replace(" ", "\xa0"),) for line in rest)),
                *tables,
            )
        said = {k: v for k, v in self.answer.items() if isinstance(v, str | int | float)}
        facts = {
            **said,
            "with the whole text": f"{self.saliency.whole:.4f}",
            "with nothing in its place": f"{self.saliency.nothing:.4f}",
            f"the {self.unit}s together add": f"{sum(self.saliency.steps):.4f}, which misses the difference by "
            f"{abs(self.saliency.gap):.1g}",
        }
        return Report(title, (), tables=tables, facts=facts)


@in_float32
def inspect(
    run: AnyPath | OpenRun, text: str | Mapping[str, Any], *, device: str = "auto", cells: Iterable[AnyPath] = ()
) -> Inspection:
    """Look inside a run while it answers a text: gates, states, saliency, and what its task has besides.

    text: or a row as a dict, whose text is taken
    Raises DataError for a text without tokens or too long to show, ConfigError for a task or model without anything to
    look into, RunError for a damaged folder.
    """
    trained = opened(run, cells)
    if not isinstance(trained.task, Explains):
        name = trained.settings.tree["task"]["name"]
        raise ConfigError(f"{trained.folder.path}: is a run of task {name}, which inspect cannot look into yet.")
    where = device_of(device)
    trained.model.to(where).eval()
    text = _text(trained, text)
    example = _example(trained, text)
    target = trained.task.explain(trained.model, example, where)
    pairs = list(_seen(trained.model, target))
    return Inspection(
        text,
        target.answer,
        target.tokens,
        _saliency(trained.model, target),
        target.meaning,
        tuple(m for one, tokens in pairs for m in gate_maps(one, tokens)),
        tuple(m for one, tokens in pairs for m in state_maps(one, tokens)),
        target.maps,
        target.tables,
        target.lines,
        target.unit,
        target.features,
    )


def _text(trained: OpenRun, given: object) -> str:
    field = trained.settings.plan.inputs[0].name
    text = given.get(field) if isinstance(given, Mapping) else given
    if not isinstance(text, str):
        raise refusal("text", f"a text (str), or a dict with one under '{field}'", text)
    return text


def _example(trained: OpenRun, text: str) -> Any:
    field = trained.settings.plan.inputs[0].name
    example = trained.task.example(Record({field: text}, Origin("argument", 1)), gold=False)
    if is_blank(text) or not example.length:
        raise DataError(
            f"the text {text!r:.60} holds no token, so there is nothing to inspect. Give one that is not empty."
        )
    if example.length > MOST_TOKENS:
        raise DataError(f"the text has {example.length:,} tokens, expected at most {MOST_TOKENS:,}. Cut it.")
    return example


def _seen(model: torch.nn.Module, target: ExplanationTarget) -> Iterator[tuple[Seen, Sequence[str]]]:
    """The layers that read tokens, each with those."""
    with torch.no_grad(), watching(model) as seen:
        model(target.copies(1))
    for one in seen:
        yield from ((one, tokens) for name, tokens in target.reads.items() if one.module.startswith(name))


def points_for(num_tokens: int) -> int:
    """Points of the path integral: fewer for a long text, since each point is a copy of it, kept whole in memory."""
    return max(FEWEST_POINTS, min(POINTS, MOST_STEPS // max(num_tokens, 1)))


def _saliency(model: torch.nn.Module, target: ExplanationTarget) -> Saliency:
    """Of each token that is read, in the order of the text."""
    points = points_for(len(target.tokens))
    found = integrated_gradients(model, target.entry, target.copies, target.score, points=points)
    return Saliency(found.parts[::-1], found.whole, found.nothing) if target.backwards else found
