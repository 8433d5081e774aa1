"""A diagnosis as tables and charts, for a page, a terminal or a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from recurra.base.contracts import Report, Table
from recurra.doctor.activations import Activation
from recurra.doctor.advice import Advice, commands
from recurra.doctor.attending import AttentionProbe
from recurra.doctor.diagnosis import Diagnosis
from recurra.doctor.probe import LayerProbe
from recurra.doctor.updates import LARGE, SMALL
from recurra.doctor.verdict import VANISHED, horizon
from recurra.report import Chart, Curve

LOG = "log10 of the norm"
ADVICE = "What to change"


def report(title: str, diagnosis: Diagnosis, found: Sequence[Advice], config: str, unit: str = "nats") -> Report:
    """Verdict, evidence and advice as a report; its charts are in `charts`."""
    last, verdict = diagnosis.probes[-1], diagnosis.verdict
    facts: dict[str, str | int | float] = {
        "verdict": verdict.word,
        "evidence": f"{verdict.layer}: {verdict.evidence}" if verdict.layer else verdict.evidence,
        "steps of training": last.step,
        f"loss, {unit} per target": f"{last.loss:.4g}",
        "norm of the gradient": f"{last.norm:.3g}",
    }
    if why := diagnosis.why_no_layers:
        facts["recurrence"] = f"{'' if diagnosis.has_recurrence else 'none: '}{why}, and no such curve is drawn."
    if diagnosis.course.norms:
        facts["clipped steps"] = f"{diagnosis.course.clipped:.0%}"
    return Report(title, (), tables=tuple(tables(diagnosis, found, config)), facts=facts)


def tables(diagnosis: Diagnosis, found: Sequence[Advice], config: str) -> Iterator[Table]:
    """Verdicts, what to change, activations, updates."""
    layers = diagnosis.probes[-1].layers
    yield Table(
        "Verdict", ("layer", "verdict", "evidence"), tuple((v.layer, v.word, v.evidence) for v in diagnosis.verdicts)
    )
    if found:
        experiments = commands(found, config)
        rows = tuple((one.change, one.why, words) for one, words in zip(found, experiments, strict=True))
        yield Table(ADVICE, ("in the config", "because", "the experiment"), rows)
    heads = ("layer", "units", "dead", "steps", "reach", "horizon", "a step")
    if layers:
        yield Table("Layers", heads, tuple(map(_layer_row, layers)))
    if looked := tuple(_head_rows(diagnosis.probes[-1].attention)):
        yield Table("Heads of attention", HEAD_COLUMNS, looked)
    for layer in layers:
        yield Table(f"Activations: {layer.name}", ACTIVATION_COLUMNS, tuple(map(_activation_row, layer.activations)))
    if diagnosis.course.ratios:
        rows = tuple((name, f"{ratio:.2g}", _size(ratio)) for name, ratio in diagnosis.course.ratios.items())
        yield Table("Update beside weight, a step", ("parameter", "ratio", ""), rows)


HEAD_COLUMNS = ("layer", "head", "entropy (0: one place, 1: all alike)", "moves from step to step", "")


def _head_rows(attention: AttentionProbe | None) -> Iterator[tuple[str | int | float, ...]]:
    for name, each in (attention.heads if attention else {}).items():
        for one in each:
            yield name, one.head, f"{one.entropy:.2f}", f"{one.moves:.2f}", one.remark


# flat: where hardly any gradient comes through, below or above; stuck: units of which all values are.
ACTIVATION_COLUMNS = ("activation", "range", "mean", "flat low", "flat high", "stuck", "dL/da")


def _activation_row(one: Activation) -> tuple[str, ...]:
    shares = (f"{share:.0%}" for share in (one.low, one.high, one.stuck))
    name = one.name if "(" in one.name else f"{one.name} ({one.kind})"
    return name, f"{one.smallest:.2f} to {one.largest:.2f}", f"{one.mean:.2f}", *shares, f"{one.gradient:.2g}"


def _layer_row(layer: LayerProbe) -> tuple[str | int | float, ...]:
    reach, rate = (layer.carried.reach, f"{layer.carried.rate:.3g}") if layer.carried else (0, "none")
    return layer.name, layer.units, layer.dead, layer.steps, reach, horizon(layer), rate


def _size(ratio: float) -> str:
    return "large" if ratio > LARGE else "small" if ratio < SMALL else ""


def charts(diagnosis: Diagnosis) -> tuple[Chart, ...]:
    """Gradient norm against distance in time: carried, as it arrives, by gate, and by steps of training."""
    layers = diagnosis.probes[-1].layers
    return tuple(chart for chart in _charts(diagnosis, layers) if any(curve.points for curve in chart.curves))


def _charts(diagnosis: Diagnosis, layers: Sequence[LayerProbe]) -> Iterator[Chart]:
    if layers:
        longest = max((one.carried.reach for one in layers if one.carried), default=0)
        limit = Curve("a thousandth", ((0.0, VANISHED), (float(longest), VANISHED)))
        carried = [Curve(one.name, _carried(one)) for one in layers]
        yield Chart("Gradient carried back by the recurrence", "steps back in time", LOG, (*carried, limit))
    arriving = tuple(Curve(one.name, _logs(one.gradient)) for one in layers)
    yield Chart("Norm of dL/dh at each step", "steps back from the end", LOG, arriving)
    for one in layers:
        flows = tuple(Curve(name, _logs(values)) for name, values in one.flow.items())
        yield Chart(f"Norm of dL/da by activation: {one.name}", "steps back from the end", LOG, flows)
    if len(diagnosis.probes) > 1:
        for k, one in enumerate(layers):
            yield Chart(
                f"Carried over, as in training: {one.name}",
                "steps back in time",
                LOG,
                tuple(Curve(f"step {p.step}", _carried(p.layers[k])) for p in diagnosis.probes),
            )
    norms = tuple((float(step), math.log10(norm)) for step, norm in diagnosis.course.norms if 0 < norm < math.inf)
    yield Chart("Norm of the whole gradient, before clipping", "step", LOG, (Curve("norm", norms),))


def _carried(layer: LayerProbe) -> tuple[tuple[float, float], ...]:
    if layer.carried is None:
        return ()
    within = layer.carried.log10[: layer.carried.reach + 1]
    return tuple((float(k), value) for k, value in enumerate(within) if math.isfinite(value))


def _logs(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((float(k), math.log10(value)) for k, value in enumerate(values) if 0 < value < math.inf)
