"""Write docs/reference/*.md from the code: `python docs/make_reference.py`. tests/test_docs.py says when to run it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.api.schema import SCHEMA, schema_for
from recurra.base.option import OneOf
from recurra.base.registry import Registry
from recurra.cells import BUILT_IN, CELLS, Cell
from recurra.config import Option, options_of, words
from recurra.lower import LATEX, PLAIN, Parameter, equations, layout, projects
from recurra.models import MODELS
from recurra.tasks import TASKS

sys.path.insert(0, str(Path(__file__).parent))

from python_pages import PAGES, lines

FOLDER = Path(__file__).parent / "reference"
GENERATED = "*Written by `python docs/make_reference.py` from the code; do not edit by hand.*"


def pages() -> dict[str, str]:
    """The text of each page, by its file name."""
    made = {"config.md": config_lines(), "cells.md": cell_lines()} | {name: lines(name) for name in PAGES}
    return {name: _page(one) for name, one in made.items()}


def config_lines() -> Iterator[str]:
    """Every section, then every component that an option can name."""
    yield from ("# Config: every option", "", GENERATED, "")
    yield "A config is a YAML file with these sections. An option that is left out has its default; an unknown one is"
    yield "an error. How configs work is in [the guide](../guide/config.md)."
    for name, section in SCHEMA.sections.items():
        yield from ("", f"## {name}", "", _sentence(section.doc))
        if name == "model":
            yield from _models_by_task()
        elif isinstance(section, OneOf):
            yield from ("", f"One of: {', '.join(section.registry)}. Default: `{SCHEMA.defaults.get(name)}`.")
        for word, maker in _makers(section):
            yield from ("", f"### {name}: {word}", "", _first_paragraph(maker), "") if word else ("",)
            yield from _table(maker)
    for kind, registry in _registries().items():
        yield from ("", f"## {kind}", "", f"`recurra explain {kind}` lists these on the command line.")
        for word, maker in registry.items():
            yield from ("", f"### {kind}: {word}", "", _first_paragraph(maker), "")
            yield from _table(maker)


def cell_lines() -> Iterator[str]:
    """Every built-in cell: equations, states, parameters, paper."""
    yield from ("# Cells", "", GENERATED, "")
    yield "`⊙` is a product unit by unit, `t` the time step; I is the input size, H the hidden size (units), P the size"
    yield "after a projection. `recurra explain cell NAME` shows the same in a terminal. A cell of your own:"
    yield "[Add a cell](../adding/cell.md)."
    for cell in map(CELLS.__getitem__, _shipped(CELLS)):
        yield from ("", f"## {cell.name}", "", " ".join(cell.doc.split()), "", f"Source: {cell.paper}.", "")
        yield from ("```text", *equations(cell, PLAIN), "```", "")
        yield from ("```math", r"\begin{aligned}", *_aligned(cell), r"\end{aligned}", "```", "")
        states = ", ".join(f"`{state}` ({cell.size(state)})" for state in cell.states)
        yield f"States: {states}. The output is `{cell.states[0]}`." + " `proj_size` sets P." * projects(cell)
        yield from ("", "| parameter | shape | gates, in order |", "|---|---|---|")
        yield from (f"| `{p.name}` | {_shape(p)} | {' '.join(p.gates)} |" for p in layout(cell))
        if cell.bias_pair:
            yield from ("", _bias_sentence(cell))


def _models_by_task() -> Iterator[str]:
    """What a task's schema has in place of the defaults of the components."""
    yield ""
    yield "A model is made of components, each with a section of its own: `model.encoder.hidden_size`. Which ones, and"
    yield "the defaults below, follow from the task. All other defaults are those of the components."
    yield from ("", "### model by task", "")
    yield from ("| task | model | components | defaults of the task |", "|---|---|---|---|")
    for task, needs in ((task, one) for task, plan in TASKS.items() for one in (plan.needs, *plan.needs.others)):
        parts = schema_for(task, needs.model).options(("model",), MODELS[needs.model])
        parts = [part for part in parts if isinstance(part.note, OneOf)]
        fitting = (f"{part.name}: {_fitting(part, needs.parts.get(part.name))}" for part in parts)
        own = [f"`model.{path}: {_plain(value)}`" for path, value in needs.defaults.items()]
        own += [f"`training.{path}: {_plain(value)}`" for path, value in needs.training.items()]
        yield f"| {task} | `{needs.model}` | {'; '.join(fitting)} | {', '.join(own)} |"


def _fitting(option: Option, named: Iterable[str] | None) -> str:
    """The words that a task takes, the default first."""
    assert isinstance(option.note, OneOf)
    others = [f"`{word}`" for word in named or option.note.registry if word != option.default]
    return f"`{option.default}`" + f" (or {', '.join(others)})" * bool(others)


def _registries() -> dict[str, Mapping[str, Any]]:
    """The components that options can name, and those that their options can name, by kind."""
    found: dict[str, Mapping[str, Any]] = {}
    makers = [maker for section in SCHEMA.sections.values() for _, maker in _makers(section)]
    while makers:
        notes = [o.note for maker in makers for o in options_of(maker) if isinstance(o.note, OneOf)]
        new = {_kind(note): note.registry for note in notes if _kind(note) not in found}
        found |= new
        makers = [maker for registry in new.values() for maker in registry.values()]
    return found


def _makers(section: Any) -> list[tuple[str, Callable[..., Any]]]:
    return list(section.registry.items()) if isinstance(section, OneOf) else [("", section.constructor)]


def _table(maker: Callable[..., Any]) -> Iterator[str]:
    options = options_of(maker)
    if not options:
        yield "No options."
        return
    yield from ("| option | default | what fits | meaning |", "|---|---|---|---|")
    for option in options:
        yield f"| `{option.name}` | {_default(option)} | {_fits(option)} | {_cell(option.note.doc)} |"


def _default(option: Option) -> str:
    if option.required:
        return "required"
    return f"`{_plain(option.default)}`"


def _plain(value: object) -> str:
    """A value as a config has it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _fits(option: Option) -> str:
    note = option.note
    if isinstance(note, OneOf):
        null = "null or " if option.default is None else ""
        return f"{null}one of {', '.join(note.registry)}; see [{_kind(note)}](#{_kind(note)})"
    if note.choices is not None:
        return f"one of {', '.join(_shipped(note.choices))}"
    return _cell(words(option.kind, note))


def _kind(note: OneOf) -> str:
    assert isinstance(note.registry, Registry)
    return note.registry.kind


def _shipped(names: Iterable[str]) -> list[str]:
    """Without the cells that a caller has registered in this process."""
    return [name for name in names if names is not CELLS or name in BUILT_IN]


def _shape(parameter: Parameter) -> str:
    rows = f"{len(parameter.gates)} {parameter.rows}" if len(parameter.gates) > 1 else parameter.rows
    return f"({rows})" if parameter.columns is None else f"({rows}, {parameter.columns})"


def _bias_sentence(cell: Cell) -> str:
    if any(" b_R" in line for line in equations(cell)):
        return "`bias_ih` and `bias_hh` are added, as in torch; only `b_Rn` of the equations is in `bias_hh` alone."
    return "`bias_ih` and `bias_hh` are added, as in torch, so that its state dicts fit."


def _aligned(cell: Cell) -> list[str]:
    lines = [line.replace(" = ", " &= ", 1) for line in equations(cell, LATEX)]
    return [line + r" \\" for line in lines[:-1]] + lines[-1:]


def _first_paragraph(thing: Any) -> str:
    doc = getattr(thing, "doc", None) or inspect.getdoc(thing) or ""
    return " ".join(doc.partition("\n\n")[0].split())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _page(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def write(texts: Mapping[str, str]) -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(pages())
