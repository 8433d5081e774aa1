"""A resolved config as commented YAML: every option, its meaning, what fits, and its default: a manual."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any

from recurra.base.option import OneOf
from recurra.config.document import KeyPath
from recurra.config.options import Option, options_of
from recurra.config.resolve import Resolved
from recurra.config.scalars import SWITCH, parse_plain
from recurra.config.schema import Fixed, Schema
from recurra.config.values import words

WIDTH = 110
_COLUMN = 34  # where comments begin; the longest names of options fit before it
_LONGEST_FLOW = 60

# What needs no quotes: begins like a word, and holds nothing that YAML reads as punctuation.
_SAFE = re.compile(r"[^\W\d][\w./+-]*(?: [\w./+-]+)*")


def write(
    resolved: Resolved,
    schema: Schema,
    remarks: Sequence[str] = (),
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The config as YAML with comments; `load` and `resolve` make the same config of it.

    remarks: more lines on top
    reasons: why an option has its value, by its path, such as "training.epochs": last in its comment
    """
    head = [
        *textwrap.wrap(schema.doc, WIDTH - 2),
        "An option that is left out has its default; an unknown one is an error.",
        *(["", *chain.from_iterable(textwrap.wrap(printed(line), WIDTH - 2) for line in remarks)] if remarks else []),
    ]
    lines = [f"# {line}".rstrip() for line in head]
    for name, section in schema.sections.items():
        lines += ["", *_section(schema, name, resolved.tree[name], section, _below(reasons, name))]
    return "\n".join(lines) + "\n"


def _below(reasons: Mapping[str, str], name: str) -> dict[str, str]:
    return {path.removeprefix(f"{name}."): why for path, why in reasons.items() if path.startswith(f"{name}.")}


def _section(
    schema: Schema, name: str, values: Mapping[str, Any], section: Fixed | OneOf, reasons: Mapping[str, str]
) -> Iterator[str]:
    if isinstance(section, OneOf):
        yield from _component(schema, (name,), values, section, section.doc, reasons)
    else:
        yield from _commented(f"{name}:", section.doc, 0)
        yield from _options(schema, (name,), values, section.constructor, reasons)


def _component(
    schema: Schema, path: KeyPath, values: Mapping[str, Any], note: OneOf, comment: str, reasons: Mapping[str, str]
) -> Iterator[str]:
    """`optimizer: adam` for a component without options, else a map with its word first."""
    depth, maker = len(path) - 1, note.registry[values["name"]]
    kind = getattr(note.registry, "kind", "").partition(" ")[0]  # "model for tagging" is explained as model
    pointer = "; see " + _together(f"`recurra explain {kind} {values['name']}`") if kind else ""
    comment = f"{comment} (one of {', '.join(note.registry)}{pointer})"
    if not options_of(maker):
        yield from _commented(f"{path[-1]}: {_scalar(values['name'])}", comment, depth)
        return
    yield from _commented(f"{path[-1]}:", comment, depth)
    yield f"{'  ' * (depth + 1)}name: {_scalar(values['name'])}"
    yield from _options(schema, path, values, maker, reasons)


def _options(
    schema: Schema, path: KeyPath, values: Mapping[str, Any], maker: Callable[..., Any], reasons: Mapping[str, str]
) -> Iterator[str]:
    for option in schema.options(path, maker):
        value = values[option.name]
        why = f"; here: {reasons[option.name]}" if option.name in reasons else ""
        if isinstance(option.note, OneOf) and value is not None:
            comment, below = f"{option.note.doc}; {_default(option)}{why}", _below(reasons, option.name)
            yield from _component(schema, (*path, option.name), value, option.note, comment, below)
        else:
            yield from _option(len(path), option, value, why)


def _option(depth: int, option: Option, value: Any, why: str) -> Iterator[str]:
    if isinstance(option.note, OneOf):
        fits = f"null or one of {', '.join(option.note.registry)}"
    else:
        fits = words(option.kind, option.note)
    comment = f"{option.note.doc} {_together(f'({fits}; {_default(option)})')}{why}"
    flow = _flow(value)
    if len(flow) <= _LONGEST_FLOW or not isinstance(value, list | tuple | Mapping):
        yield from _commented(f"{option.name}: {flow}", comment, depth)
        return
    yield from _commented(f"{option.name}:", comment, depth)
    yield from (f"{'  ' * (depth + 1)}{line}" for line in _block(value))


def _together(text: str) -> str:
    """`text` as one word to the wrapping, if it fits a line of comment."""
    return text.replace(" ", "\xa0") if len(text) <= WIDTH - _COLUMN - 2 else text


def _default(option: Option) -> str:
    return "required" if option.required else f"default {_flow(option.default)}"


def _commented(code: str, comment: str, depth: int) -> Iterator[str]:
    """Code with its comment to the right, wrapped at one column; above it, where the code is too long for that.

    A no-break space keeps a command of a comment in one line, and is written as a space.
    """
    indent = "  " * depth
    code = indent + code
    if len(code) + 2 > _COLUMN:
        yield from (f"{indent}# {line}" for line in _wrapped(comment, WIDTH - len(indent) - 2))
        yield code
        return
    for number, line in enumerate(_wrapped(comment, WIDTH - _COLUMN - 2)):
        yield f"{'' if number else code:<{_COLUMN}}# {line}"


@lru_cache(maxsize=1024)
def _wrapped(text: str, width: int) -> tuple[str, ...]:
    return tuple(line.replace("\xa0", " ") for line in textwrap.wrap(text, width, break_on_hyphens=False))


def yaml_of(value: Any) -> str:
    """A value in one line of YAML, as `--set` takes it."""
    return _flow(value)


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _block(value: Any) -> Iterator[str]:
    """A long list or map, one item a line."""
    if isinstance(value, Mapping):
        yield from (f"{_text(key)}: {_flow(item)}" for key, item in value.items())
    else:
        yield from (f"- {_flow(item)}" for item in value)


def printed(text: str) -> str:
    """Text in a comment: what is not printable, such as a line break of a column's name, as an escape."""
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        # YAML 1.1 readers take 1e-05 for text and 1.0e-05 for a number; both versions read the second.
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa}.0{e}{exponent}" if e and "." not in mantissa else repr(value)
    return _text(value) if isinstance(value, str) else str(value)


def _text(text: str) -> str:
    """Text, in quotes where any YAML reader would take it for something else."""
    plain = (
        _SAFE.fullmatch(text) and isinstance(parse_plain(text), str) and text.lower() not in {*SWITCH, "y", "n", "null"}
    )
    return text if plain and text.isprintable() else _quoted(text)


def _quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else _escape(ord(c))) for c in text) + '"'


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
