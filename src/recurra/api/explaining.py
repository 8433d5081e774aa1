"""Explain: equations, parameters, papers, options and their defaults, from the code itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.api.defaults import in_float32
from recurra.api.folder import add_cells
from recurra.api.given import AnyPath, text_of
from recurra.api.schema import SCHEMA
from recurra.base.errors import ConfigError, did_you_mean
from recurra.base.option import OneOf
from recurra.base.registry import Registry
from recurra.cells import CELLS, Cell
from recurra.config import Fixed, Option, options_of
from recurra.config.values import words
from recurra.data.dictionary import DICTIONARIES
from recurra.data.films import FRAMES
from recurra.data.formats import FORMATS
from recurra.data.joints import JOINTS
from recurra.data.layouts import LAYOUTS
from recurra.data.movements import AUGMENTATIONS
from recurra.data.ngrams import NGRAMS
from recurra.data.noise import NOISES
from recurra.data.spectra import SPECTRA
from recurra.data.splits import SPLITS
from recurra.data.tokenizers import TOKENIZERS
from recurra.decode import LENGTH_PENALTIES
from recurra.engine import BACKENDS
from recurra.lower import LATEX, PLAIN, equations, gradient, layout, projects, schedule, trace
from recurra.metrics import SEQUENCE_SCORES
from recurra.models import DECODERS, ENCODERS, HEADS, INPUTS, LATENTS, MODELS, RECONSTRUCTIONS, WIDES
from recurra.models.decoders.bridge import BRIDGES
from recurra.models.decoders.decoder import STYLES
from recurra.models.decoders.readout import READOUTS
from recurra.models.decoders.scheduled_sampling import SAMPLING_SCHEDULES
from recurra.models.forecasts import FORECASTS
from recurra.models.latents.warmups import WARMUPS
from recurra.nn import ATTENTIONS, POOLS
from recurra.tasks import TASKS
from recurra.training import CLIPPINGS, ON_NONFINITE, OPTIMIZERS, SCHEDULES


@dataclass(frozen=True, slots=True)
class Explanation:
    """text: for people; data: the same, for programs."""

    text: str
    data: dict[str, Any]


TOPICS: Mapping[str, Mapping[str, Any]] = {
    "cell": CELLS,
    "task": TASKS,
    "model": MODELS,
    "inputs": INPUTS,
    "encoder": ENCODERS,
    "head": HEADS,
    "wide": WIDES,
    "decoder": DECODERS,
    "latent": LATENTS,
    "warmup": WARMUPS,
    "reconstruction": RECONSTRUCTIONS,
    "noise": NOISES,
    "forecast_head": FORECASTS,
    "spectrum": SPECTRA,
    "frames": FRAMES,
    "joints": JOINTS,
    "augmentation": AUGMENTATIONS,
    "tokenizer": TOKENIZERS,
    "ngrams": NGRAMS,
    "dictionary": DICTIONARIES,
    "format": FORMATS,
    "pooling": POOLS,
    "attention": ATTENTIONS,
    "bridge": BRIDGES,
    "style": STYLES,
    "readout": READOUTS,
    "scheduled_sampling": SAMPLING_SCHEDULES,
    "scores": SEQUENCE_SCORES,
    "length_penalty": LENGTH_PENALTIES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "clipping": CLIPPINGS,
    "on_nonfinite": ON_NONFINITE,
    "split": SPLITS,
    "layout": LAYOUTS,
    "backend": BACKENDS,
}


@in_float32
def explain(topic: str | None = None, name: str | None = None, *, cells: Iterable[AnyPath] = ()) -> Explanation:
    """What there is to explain; the words of one topic; or one thing. A topic may be an option: model.cell.

    Raises ConfigError for a topic or word that is not known.
    """
    add_cells(cells)
    topic = None if topic is None else text_of(topic, "topic")
    name = None if name is None else text_of(name, "name")
    if topic is None:
        return _listed("topics", {word: f"{len(things)} words: {', '.join(things)}" for word, things in TOPICS.items()})
    if topic not in TOPICS:
        return _option(topic)
    things = TOPICS[topic]
    if name is None:
        return _listed(topic, {word: _first_sentence(thing) for word, thing in things.items()} | _broken(things))
    if name not in things:
        raise ConfigError(f"unknown {topic} '{name}'.{did_you_mean(name, things) or ' Known: ' + ', '.join(things)}")
    thing = things[name]
    return _cell(thing) if isinstance(thing, Cell) else _component(topic, name, thing)


def _broken(things: Mapping[str, Any]) -> dict[str, str]:
    """Why the words of packages that cannot be loaded are not explained."""
    return things.broken if isinstance(things, Registry) else {}


def _listed(title: str, lines: Mapping[str, str]) -> Explanation:
    width = max(map(len, lines))
    text = "\n".join(f"{word:<{width}}  {line}" for word, line in lines.items())
    return Explanation(text, {title: dict(lines)})


def _cell(cell: Cell) -> Explanation:
    """Equations, parameters with their shapes, paper, and what the executor derives."""
    parameters = {p.name: f"{_shape(p)}  gates {' '.join(p.gates)}" for p in layout(cell)}
    plan, kept = schedule(cell), gradient(cell).tape
    graph = trace(cell)
    tape = [graph.labels.get(at) or graph.nodes[at].name or graph.nodes[at].kind for at in kept]
    phases = [" ".join(phase) for phase in plan.phases]
    lines = [
        f"{cell.name}: {cell.doc}",
        f"Source: {cell.paper or 'your own'}",
        "",
        "Equations (⊙ unit by unit, t the step)",
        *[f"  {line}" for line in equations(cell, PLAIN)],
        "",
        f"States: {', '.join(f'{s} ({cell.size(s)})' for s in cell.states)}",
        "Parameters of a layer and direction (I input, H units" + (", P projected)" if projects(cell) else ")"),
        *[f"  {name:<10} {shape}" for name, shape in parameters.items()],
        "",
        f"Products inside a step: {' | '.join(phases) or 'none'}; all W x_t are one product for all steps.",
        f"Kept for the gradient: {', '.join(tape)}",
    ]
    data = {
        "name": cell.name,
        "doc": cell.doc,
        "paper": cell.paper,
        "states": {s: cell.size(s) for s in cell.states},
        "equations": list(equations(cell, PLAIN)),
        "latex": list(equations(cell, LATEX)),
        "parameters": {p.name: {"gates": list(p.gates), "rows": p.rows, "columns": p.columns} for p in layout(cell)},
        "phases": [list(phase) for phase in plan.phases],
        "tape": tape,
    }
    return Explanation("\n".join(lines), data)


def _shape(parameter: Any) -> str:
    rows = f"{len(parameter.gates)}*{parameter.rows}" if len(parameter.gates) > 1 else parameter.rows
    return f"({rows},)" if parameter.columns is None else f"({rows}, {parameter.columns})"


def _component(topic: str, name: str, thing: Any) -> Explanation:
    """What it is, and its options."""
    options = [_option_line(option) for option in (options_of(thing) if callable(thing) else ())]
    doc = _doc(thing)
    text = "\n".join(
        [f"{topic} {name}", "", doc, *(["", "Options", *[f"  {line}" for line in options]] if options else [])]
    )
    return Explanation(text, {"topic": topic, "name": name, "doc": doc, "options": options})


def _option(path: str) -> Explanation:
    """One option by its dotted path, such as model.encoder.cell, or a whole section or component."""
    section, *names = path.split(".")
    if section not in SCHEMA.sections:
        known = [*TOPICS, *SCHEMA.sections]
        raise ConfigError(
            f"nothing to explain under '{path}'.{did_you_mean(path, known) or ' Known: ' + ', '.join(known)}"
        )
    entry, at = SCHEMA.sections[section], section
    makers, broken = _makers(entry), list(_broken(getattr(entry, "registry", {})).values())
    for k, name in enumerate(names):
        found = [(word, option) for word, maker in makers for option in options_of(maker) if option.name == name]
        if not found:
            known = [option.name for _, maker in makers for option in options_of(maker)]
            what = "section" if k == 0 else "component"
            near = SCHEMA.like(name, at.split("."), known)
            raise ConfigError(f"{what} '{at}' has no option '{name}'.{near}")
        inside = [one for _, option in found if isinstance(option.note, OneOf) for one in _makers(option.note)]
        if k + 1 == len(names) and not inside:
            return _lines(at, found)
        makers, at = list(dict(inside).items()), f"{at}.{name}"
        broken = [reason for _, option in found for reason in _broken(getattr(option.note, "registry", {})).values()]
    return _lines(at, [(word, option) for word, maker in makers for option in options_of(maker)], broken)


def _lines(at: str, found: Sequence[tuple[str, Option]], broken: Iterable[str] = ()) -> Explanation:
    """The options below a path. Several tasks or networks may have one of the same name; then each says whose it is.

    broken: what is said of packages whose options cannot be listed
    """
    whose = len({word for word, _ in found}) > 1
    lines = [f"{at}.{_option_line(option, of=word if whose else '')}" for word, option in found]
    lines += dict.fromkeys(broken)
    return Explanation("\n".join(lines), {"options": lines})


def _makers(entry: Fixed | OneOf) -> list[tuple[str, Callable[..., Any]]]:
    return list(entry.registry.items()) if isinstance(entry, OneOf) else [("", entry.constructor)]


def _option_line(option: Any, *, of: str = "") -> str:
    note = option.note
    allowed = ", ".join(note.registry) if isinstance(note, OneOf) else words(option.kind, note)
    default = "required" if option.required else f"default {_plain(option.default)}"
    return f"{option.name}{f' ({of})' * bool(of)}: {note.doc}. {allowed}; {default}."


def _plain(value: object) -> str:
    """A default as it stands in a config."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _doc(thing: Any) -> str:
    """What a thing says of itself: its own `doc`, or its docstring."""
    own = getattr(thing, "doc", None)
    return own if isinstance(own, str) else inspect.getdoc(thing) or ""


def _first_sentence(thing: Any) -> str:
    return _doc(thing).partition("\n\n")[0].replace("\n", " ")
