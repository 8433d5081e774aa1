"""Does a value fit an option? And what fits, in words, for messages and for the comments of a written config.

The kinds are a closed list: int, float, bool, str, None, Literal, unions, lists and tuples, maps from text. Checking
them takes less code than translating a validation library's errors into our sentences, and the words that describe a
kind are needed anyway.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from recurra.base.errors import did_you_mean
from recurra.base.normal import name_of
from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.config.scalars import SWITCH, shown

_PLURAL = {"integer": "integers", "number": "numbers", "one": "any"}
_LISTED = 12
# YAML allows keys of 1024 characters, and an escaped one takes ten for one.
LONGEST_KEY = 100


class MisfitError(Exception):
    """The value does not fit. got: what was found, as a clause; hint: the next step, with a leading space, or ""."""

    def __init__(self, got: str, hint: str = "") -> None:
        super().__init__(got, hint)
        self.got = got
        self.hint = hint


class UnknownWordError(MisfitError):
    """The value is a word that is not among the choices; `got` is the whole sentence."""


def fit(kind: Any, note: Opt, value: Any) -> Any:
    """`value` as the constructor takes it: floats from integers, tuples from lists, booleans from `yes` and `no`.

    An integer must be written as one: 1e3 is a number, and is refused with the integer to write instead.
    Raises MisfitError; TypeError if the kind is outside the closed list.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind](note, value)
    if origin is Literal:
        return _literal(arguments, value)
    if origin in (Union, UnionType):
        return _union(arguments, note, value)
    if origin is list or (origin is tuple and arguments[-1] is Ellipsis):
        return origin(_items([arguments[0]] * len(_list(value)), note, value))
    if origin is tuple:
        return tuple(_items(arguments, note, value))
    if origin in (dict, Mapping):
        return _map(arguments[1], note, value)
    raise TypeError(f"an option cannot be of kind {kind}; see recurra.config.values for the kinds there are")


def words(kind: Any, note: Opt) -> str:
    """What fits, in words: `integer >= 1 or null`, `one of last, mean, max`, `list of text`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (int, float):
        return ("integer" if kind is int else "number") + _bounds(note)
    if kind is str and note.choices is not None:
        return _one_of(note.choices)
    if kind in _SCALARS:
        return {bool: "true or false", str: "text", NoneType: "null", type(None): "null"}[kind]
    if origin is Literal:
        return _one_of([str(word) for word in arguments]) if len(arguments) > 1 else str(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(words(member, note) for member in arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"list of {len(arguments)}: " + ", ".join(words(member, note) for member in arguments)
    inner = words(arguments[-1 if origin in (dict, Mapping) else 0], note)
    head, space, tail = inner.partition(" ")
    several = _PLURAL.get(head, head) + space + tail
    return f"map of text to {several}" if origin in (dict, Mapping) else f"list of {several}"


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """A sentence on a word that is not among `known`, with the nearest one, or all of them."""
    near = known.near(word) if isinstance(known, Registry) else did_you_mean(word, known)
    known = list(known)
    hint = near or f" Known: {', '.join(known[:_LISTED])}{', ...' * (len(known) > _LISTED)}."
    return f"unknown {kind} {shown(word)}.{hint}"


def _number(note: Opt, value: float) -> Any:
    low = (note.ge is None or value >= note.ge) and (note.gt is None or value > note.gt)
    high = (note.le is None or value <= note.le) and (note.lt is None or value < note.lt)
    if not (low and high):
        raise MisfitError(f"got {shown(value)}")
    return value


def _int(note: Opt, value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        raise MisfitError(f"got {shown(value)}", f" Write {int(value)}.")
    if isinstance(value, str) and re.fullmatch(r"[0-9][0-9_]{0,17}", value):
        raise MisfitError(f"got {shown(value)}", f" Write {int(value.replace('_', ''))}.")
    if isinstance(value, bool) or not isinstance(value, int):
        raise MisfitError(f"got {shown(value)}")
    return _number(note, value)


def _float(note: Opt, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MisfitError(f"got {shown(value)}")
    if not math.isfinite(value):
        raise MisfitError(f"got {shown(value)}", " A setting is a finite number.")
    return float(_number(note, value))


def _bool(note: Opt, value: Any) -> Any:
    if isinstance(value, str) and value.lower() in SWITCH:
        return SWITCH[value.lower()]
    if not isinstance(value, bool):
        raise MisfitError(f"got {shown(value)}")
    return value


def _str(note: Opt, value: Any) -> Any:
    if not isinstance(value, str):
        plain = isinstance(value, bool | int | float)
        raise MisfitError(f"got {shown(value)}", f' To mean the text, put it in quotes: "{shown(value)}".' * plain)
    if note.choices is not None and value not in note.choices:
        kind = getattr(note.choices, "kind", "word")
        raise UnknownWordError(unknown(kind, value, note.choices))
    return name_of(value) if note.named else value


def _none(note: Opt, value: Any) -> Any:
    if value is not None:
        raise MisfitError(f"got {shown(value)}")


def _literal(arguments: Sequence[Any], value: Any) -> Any:
    # 1 == True in Python: the types must agree as well.
    if not any(value == word and type(value) is type(word) for word in arguments):
        near = did_you_mean(value, [str(word) for word in arguments]) if isinstance(value, str) else ""
        raise MisfitError(f"got {shown(value)}", near)
    return value


def _union(members: Sequence[Any], note: Opt, value: Any) -> Any:
    if value is None and NoneType in members:  # most defaults: it fits no other member
        return None
    misfits = []
    for member in members:
        try:
            return fit(member, note, value)
        except MisfitError as misfit:
            misfits.append((member, misfit))
    telling = [misfit for member, misfit in misfits if member is not NoneType]
    if len(telling) == 1:
        raise telling[0]
    raise MisfitError(telling[0].got, next((misfit.hint for misfit in telling if misfit.hint), ""))


def _items(kinds: Sequence[Any], note: Opt, value: Any) -> list[Any]:
    items = _list(value)
    if len(items) != len(kinds):
        raise MisfitError(f"got {len(items)} items")
    return [_part(kind, note, item, f"item {n}") for n, (kind, item) in enumerate(zip(kinds, items, strict=True), 1)]


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise MisfitError(f"got {shown(value)}", f" Write [{value}]." if isinstance(value, str) else "")
    return value


def _map(kind: Any, note: Opt, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise MisfitError(f"got {shown(value)}", " Write {word: value, ...}.")
    if any(len(key) > LONGEST_KEY for key in value):
        raise MisfitError(f"got a word of more than {LONGEST_KEY} characters")
    return {str(key): _part(kind, note, item, shown(key)) for key, item in value.items()}


def _part(kind: Any, note: Opt, value: Any, name: str) -> Any:
    """One item of a list or map; its misfit names it."""
    try:
        return fit(kind, note, value)
    except UnknownWordError:
        raise
    except MisfitError as misfit:
        raise MisfitError(f"{name} is {shown(value)}", misfit.hint) from None


def _bounds(note: Opt) -> str:
    signs = {">=": note.ge, ">": note.gt, "<=": note.le, "<": note.lt}
    return " and".join(f" {sign} {_whole_or_short(bound)}" for sign, bound in signs.items() if bound is not None)


def _whole_or_short(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _one_of(choices: Iterable[str]) -> str:
    names = list(choices)
    listed = ", ".join(names[:_LISTED]) + ", ..." * (len(names) > _LISTED)
    return f"one of {listed}"


_SCALARS = {int: _int, float: _float, bool: _bool, str: _str, NoneType: _none}
