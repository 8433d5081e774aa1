"""What a config may say, as JSON Schema: the same options, bounds, defaults and sentences, for editors.

Draft 7, which every editor's YAML service reads. A schema cannot say what two options mean together, nor what is
implied: `recurra check` finds those mistakes.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from recurra.base.option import OneOf, Opt
from recurra.config.options import Option
from recurra.config.scalars import SWITCH
from recurra.config.schema import Fixed, Schema
from recurra.config.spaces import KEYS, MARKS, MOST_CHOICES
from recurra.config.values import LONGEST_KEY, words

Json = dict[str, Any]
# Sections in which an option without a default may follow from another one, and so may be left out.
_IMPLIED = ("task", "model")
_NUMBERS = ("integer", "number")
# The space of an option that is one of some values.
_CHOICES: Json = {
    "type": "object",
    "properties": {"choices": {"type": "array", "minItems": 2, "maxItems": MOST_CHOICES}, "default": {}},
    "required": ["choices"],
    "additionalProperties": False,
}


class Definitions:
    """Components that several tasks have, each once: under another name only where a task has other defaults.

    spaces: whether a space of a search may stand in the place of a value
    """

    def __init__(self, *, spaces: bool = False) -> None:
        self.all: dict[str, Json] = {}
        self.spaces = spaces
        self._names: dict[str, str] = {}

    def reference(self, name: str, content: Json) -> Json:
        """A reference to `content`, which is kept under `name`, or a number behind it."""
        text = json.dumps([name, content], sort_keys=True)
        if text not in self._names:
            taken = sum(known.partition("-")[0] == name for known in self.all)
            self._names[text] = f"{name}-{taken + 1}" if taken else name
            self.all[self._names[text]] = content
        return {"$ref": f"#/definitions/{self._names[text]}"}


def section(schema: Schema, name: str, definitions: Definitions) -> Json:
    """A section of the config, as `schema` has it."""
    part = schema.sections[name]
    if isinstance(part, OneOf):
        return _component(schema, (name,), part, schema.defaults.get(name), definitions)
    return _described(part.doc, definitions.reference(name, _fixed(schema, name, part, definitions)))


def word_of(path: str, word: str, *, usual: bool) -> Json:
    """That the component at `path` has this word, written as a word or as a `name`. usual: also where it has none"""
    named: Json = {"type": "object", "properties": {"name": {"const": word}}}
    if usual:
        return {"properties": {path: {"anyOf": [{"enum": [word, None]}, named]}}}
    said = [{"const": word}, {**named, "required": ["name"]}]
    return {"properties": {path: {"anyOf": said}}, "required": [path]}


def _fixed(schema: Schema, name: str, part: Fixed, definitions: Definitions) -> Json:
    options = schema.options((name,), part.constructor)
    required = [option.name for option in options if option.required]
    content = {**_options(schema, (name,), options, definitions), "type": "object" if required else ["object", "null"]}
    return {**content, "required": required} if required else content


def _component(
    schema: Schema, path: Sequence[str], note: OneOf, default: object, definitions: Definitions, *, null: bool = True
) -> Json:
    """A component by its word, or by a map with its word as `name`; null is its default, if it has one."""
    usable = dict(note.registry.items())
    known = [word for word in schema.words_at(path, usable) if word in usable]
    made = {word: _made(schema, path, word, usable[word], note, definitions) for word in known}
    rules = [{"if": _named(word, usual=word == default), "then": definition} for word, definition in made.items()]
    name = _or_space({"enum": known}, (), definitions)
    content: Json = {
        "if": {"type": "object"},
        "then": {"properties": {"name": name}, "allOf": rules, "required": [] if default else ["name"]},
        "else": {"enum": [*known, *([None] if null else [])]},
    }
    return _described(note.doc, _or_space(content, (), definitions) if len(path) > 1 else content, default)


def _named(word: str, *, usual: bool) -> Json:
    return {"properties": {"name": {"const": word}}, **({} if usual else {"required": ["name"]})}


def _made(
    schema: Schema, path: Sequence[str], word: str, maker: Callable[..., Any], note: OneOf, definitions: Definitions
) -> Json:
    """The options of one component, by reference."""
    options = schema.options(path, maker)
    content = {"type": "object", "description": _about(maker), **_options(schema, path, options, definitions)}
    content["properties"] = {"name": _or_space({"const": word}, (), definitions), **content["properties"]}
    required = [option.name for option in options if option.required and path[0] not in _IMPLIED]
    kind = getattr(note.registry, "kind", path[-1]).partition(" for ")[0].replace(" ", "_")
    return definitions.reference(f"{kind}.{word}", {**content, **({"required": required} if required else {})})


def _options(schema: Schema, path: Sequence[str], options: Iterable[Option], definitions: Definitions) -> Json:
    found = {option.name: _option(schema, (*path, option.name), option, definitions) for option in options}
    return {"properties": found, "additionalProperties": False}


def _option(schema: Schema, path: Sequence[str], option: Option, definitions: Definitions) -> Json:
    note = option.note
    if isinstance(note, OneOf):
        default = option.default if isinstance(option.default, str) else None
        return _component(schema, path, note, default, definitions, null=not option.required)
    fits = value(option.kind, note)
    if path[0] != "data":  # has no spaces
        fits = _or_space(fits, [one for one in fits.get("anyOf", [fits]) if one.get("type") in _NUMBERS], definitions)
    content = _described(f"{note.doc} ({words(option.kind, note)})", fits)
    return content if option.required else {**content, "default": _plain(option.default)}


def _or_space(content: Json, numbers: Sequence[Json], definitions: Definitions) -> Json:
    """What fits, or a space: choices, and a range of the kinds of numbers that fit, if there are any."""
    if not definitions.spaces:
        return content
    spaces = [definitions.reference("choices", _CHOICES)]
    if numbers:
        spaces.append(definitions.reference("range", _range(numbers)))
    is_space = {
        "type": "object", "propertyNames": {"enum": list(KEYS)}, "anyOf": [{"required": [mark]} for mark in MARKS]
    }  # fmt: skip
    meant = {"allOf": [is_space, {"not": content}]} if _is_map(content) else is_space
    return {"if": meant, "then": {"anyOf": spaces}, "else": content}


def _is_map(content: Json) -> bool:
    """Whether maps of any keys fit, such as weights of labels, which may be called low and high."""
    return any("additionalProperties" in one for one in content.get("anyOf", [content]))


def _range(numbers: Sequence[Json]) -> Json:
    end = {"anyOf": list(numbers)} if len(numbers) > 1 else dict(numbers[0])
    step = {"type": "number", "exclusiveMinimum": 0}
    keys = {"low": end, "high": end, "log": {"type": "boolean"}, "step": step, "default": {}}
    return {"type": "object", "properties": keys, "required": ["low", "high"], "additionalProperties": False}


def value(kind: Any, note: Opt) -> Json:
    """What fits an option, as `recurra.config.values` reads it. Raises TypeError outside its closed list of kinds."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (int, float):
        return {"type": "integer" if kind is int else "number", **_bounds(note)}
    if kind is str:
        return {"type": "string"} if note.choices is None else {"enum": list(note.choices)}
    if kind is bool:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": _switch()}]}
    if kind in (None, NoneType):
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, UnionType):
        return {"anyOf": [value(member, note) for member in arguments]}
    if origin is list or (origin is tuple and arguments[-1] is Ellipsis):
        return {"type": "array", "items": value(arguments[0], note)}
    if origin is tuple:
        members = [value(member, note) for member in arguments]
        return {"type": "array", "items": members, "minItems": len(members), "maxItems": len(members)}
    if origin in (dict, Mapping):
        keys = {"maxLength": LONGEST_KEY}
        return {"type": "object", "propertyNames": keys, "additionalProperties": value(arguments[1], note)}
    raise TypeError(f"an option cannot be of kind {kind}; see recurra.config.values for the kinds there are")


def _bounds(note: Opt) -> Json:
    bounds = {
        "minimum": note.ge, "exclusiveMinimum": note.gt, "maximum": note.le, "exclusiveMaximum": note.lt
    }  # fmt: skip
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _switch() -> str:
    """The words of a switch, in capitals or not: JSON Schema's patterns have no flag for that."""
    letters = ("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in SWITCH)
    return f"^({'|'.join(letters)})$"


def _described(doc: str, content: Json, default: object = None) -> Json:
    """With a sentence. Draft 7 reads nothing beside a reference, so one is put into a list."""
    inner = {"allOf": [content]} if "$ref" in content else content
    return {"description": doc, **inner, **({} if default is None else {"default": default})}


def _about(maker: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(maker) or "").partition("\n\n")[0].split())


def _plain(default: Any) -> Any:
    """A default as JSON has it."""
    if isinstance(default, Mapping):
        return {str(key): _plain(item) for key, item in default.items()}
    return [_plain(item) for item in default] if isinstance(default, list | tuple) else default
