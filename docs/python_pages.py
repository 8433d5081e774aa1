"""The pages of the Python API, from signatures and docstrings; docs/make_reference.py writes them.

A docstring has a sentence, then lines such as `query: (N, H) decoder state`, then what is returned and raised (STYLE in
CONTRIBUTING.md). Those lines become a list here, which no reader of Google's or NumPy's docstrings would make of them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

GENERATED = "*Written by `python docs/make_reference.py` from the docstrings; do not edit by hand.*"
_ITEM = re.compile(r"^(?!Sources?: )(\*{0,2}\w+(?:, \*{0,2}\w+)*): (?=\S)")
_NEXT_ITEM = re.compile(r" {3,}(?=\*{0,2}\w+(?:, \w+)*: )|(?<=\.) (?=[a-z_]+: )")
_BEGINS = ("Returns ", "Raises ", "Source: ", "Sources: ")
_ALIGNED = re.compile(r"\S {4,}\S")  # equations in columns
_NOTE = re.compile(r"^Annotated\[\s*(.*?),\s*(?:Opt|OneOf)\(.*\]$", re.DOTALL)
_WIDE = 100


@dataclass(frozen=True, slots=True)
class Module:
    """A part of a page. names: those that are shown; () for all of its `__all__`"""

    name: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """A page. about: the sentences at its top, in Markdown"""

    title: str
    about: str
    modules: tuple[Module, ...]


_ERRORS = ("RecurraError", "ConfigError", "DataError", "RunError", "ShapeError", "TrainingError")
_ANSWERS = (
    *(
        "AnyAnswer",
        "Label",
        "Labels",
        "SeriesLabel",
        "SeriesLabels",
        "Text",
        "Candidate",
        "Attention",
        "Spans",
        "Tags",
        "Span",
    ),
    *("LogProb", "TokenLogProb", "Chords", "Forecast", "Numbers"),
)
PAGES: Mapping[str, Contents] = {
    "python.md": Contents(
        "Python API: train, runs, answers",
        "What `import recurra` offers. How it is used is in [the guide](../guide/python.md).",
        (
            Module("recurra", ("train", "load", "resume", "Run", "Evaluation", *_ERRORS)),
            Module("recurra.base.answers", _ANSWERS),
            Module("recurra.sklearn", ("SequenceClassifier", "SequenceTagger")),
        ),
    ),
    "verbs.md": Contents(
        "Python API: the verbs of the command line",
        "Each command of `recurra` is a function of `recurra.api`; most programs need only [train, load and "
        "Run](python.md).",
        (Module("recurra.api"),),
    ),
    "layers.md": Contents(
        "Python API: layers, cells, engine",
        "Modules of torch and what is below them. How they are used is in [Layers](../guide/layers.md); cells are in "
        "[Cells](cells.md).",
        (
            Module("recurra.nn"),
            Module("recurra.cells", ("cell", "Cell")),
            Module("recurra.engine"),
        ),
    ),
    "extension.md": Contents(
        "Python API: metrics and extension points",
        "What a component, a format or a task of your own meets ([Add a task](../adding/task.md), [a component of "
        "models](../adding/model.md), [a file format](../adding/format.md)), and the metrics by themselves.",
        (
            Module(
                "recurra.base.contracts",
                (
                    "Origin",
                    "Record",
                    "Example",
                    "Batch",
                    "Prediction",
                    "Loss",
                    "Score",
                    "Report",
                    "Progress",
                    "Callback",
                ),
            ),
            Module("recurra.metrics"),
            Module("recurra.losses"),
            Module("recurra.decode"),
            Module("recurra.data.formats", ("Format", "BadRows", "read", "num_lines")),
            Module("recurra.tasks", ("Task", "TaskConfig")),
        ),
    ),
}


def lines(page: str) -> Iterator[str]:
    """The lines of a page."""
    contents = PAGES[page]
    yield from (f"# {contents.title}", "", GENERATED, "", contents.about)
    for part in contents.modules:
        module = import_module(part.name)
        yield from ("", f"## {part.name}", "", *_text(_about(module)))
        for name in part.names or sorted(module.__all__, key=str.lower):
            yield from _thing(name, getattr(module, name))


def _thing(name: str, thing: Any) -> Iterator[str]:
    """A class, a function, or a registry of them."""
    if inspect.isclass(thing):
        yield from _class(name, thing)
    elif callable(thing) and hasattr(thing, "__name__"):
        yield from ("", f"### {name}", "", *_signature(name, thing), *_text(inspect.getdoc(thing) or ""))
    elif isinstance(thing, Mapping):
        yield from ("", f"### {name}", "", f"There are: {', '.join(f'`{word}`' for word in thing)}.")


def _class(name: str, kind: type) -> Iterator[str]:
    # The signature that a Protocol, an exception or a class of nothing but names has says nothing.
    own_init = "__init__" in vars(kind) and not getattr(kind, "_is_protocol", False)
    yield from ("", f"### {name}", "", *(_signature(name, kind) if own_init else ()), *_text(kind.__doc__ or ""))
    for member, value in vars(kind).items():
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if member.startswith("_") or not value.__doc__:
            continue
        if isinstance(value, property):
            yield from ("", f"#### {name}.{member}", "", *_text(inspect.getdoc(value) or ""))
        elif inspect.isfunction(value):
            yield from (
                "",
                f"#### {name}.{member}",
                "",
                *_signature(member, value),
                *_text(inspect.getdoc(value) or ""),
            )


def _signature(name: str, thing: Any) -> Iterator[str]:
    try:
        signature = inspect.signature(thing)
    except (ValueError, TypeError):
        return
    words = [*_parameters(signature)]
    returned = signature.return_annotation
    arrow = "" if returned in (inspect.Signature.empty, None, "None") else f" -> {_annotation(returned)}"
    line = f"{name}({', '.join(words)}){arrow}"
    spread = [f"{name}(", *(f"    {word}," for word in words), f"){arrow}"]
    yield from ("```py", *([line] if len(line) <= _WIDE else spread), "```", "")


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    starred = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred = True
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        known = parameter.annotation is not inspect.Parameter.empty
        typed = f": {_annotation(parameter.annotation)}" if known else ""
        shown = repr(parameter.default)
        default = "" if parameter.default is inspect.Parameter.empty else f" = {'...' if ' at 0x' in shown else shown}"
        yield f"{prefix}{parameter.name}{typed}{default}"


def _annotation(annotation: Any) -> str:
    """A type as the code has it, without what an option says of itself."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    found = _NOTE.match(text)
    return " ".join((found[1] if found else text).split())


def _text(doc: str) -> Iterator[str]:
    """A docstring as Markdown: sentences, and a list of what its lines name."""
    blocks: list[str] = []
    for paragraph in inspect.cleandoc(doc).split("\n\n"):
        rows = paragraph.splitlines()
        if all(_ALIGNED.search(row) and not _ITEM.match(row) for row in rows):
            blocks.append("\n".join(["```text", *rows, "```"]))
            continue
        fresh = True
        for piece in (piece for row in rows for piece in _NEXT_ITEM.split(row)):
            if item := _ITEM.match(piece):
                names = ", ".join(f"`{name}`" for name in item[1].split(", "))
                blocks.append(f"- {names}: {_plain(piece[item.end() :].strip())}")
            elif fresh or piece.startswith(_BEGINS) or (blocks[-1].startswith("- ") and piece[:1].isupper()):
                blocks.append(_plain(piece.strip()))
            else:
                blocks[-1] += f" {_plain(piece.strip())}"
            fresh = False
    for number, block in enumerate(blocks):
        if number and not (block.startswith("- ") and blocks[number - 1].startswith("- ")):
            yield ""
        yield from block.splitlines()


def _plain(text: str) -> str:
    """Text as Markdown that shows it as it stands; what is code already stays."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(one if one.startswith("`") else re.sub(r"([*<\[\]|])", r"\\\1", one) for one in pieces)


def _about(module: Any) -> str:
    """The first sentence of a module, without its name."""
    first = (inspect.getdoc(module) or "").partition("\n\n")[0].removeprefix(f"{module.__name__}: ")
    return f"{first[:1].upper()}{first[1:]}"
