"""The options of a constructor, read from its signature."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from recurra.base.option import OneOf, Opt


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword-only parameter that a config file may set.

    kind: the parameter's type, without its note      default: `Option.REQUIRED` where there is none
    """

    REQUIRED = inspect.Parameter.empty

    name: str
    kind: Any
    note: Opt | OneOf
    default: Any

    @property
    def required(self) -> bool:
        return self.default is Option.REQUIRED


@cache  # a config asks for the same ones thirty times, and to evaluate the annotations of one takes 4 ms
def options_of(constructor: Callable[..., Any]) -> tuple[Option, ...]:
    """The keyword-only parameters of a class, dataclass or function that carry an `Opt` or `OneOf` note, in order.

    Other parameters come from the data or the caller, and no config file can set them.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(constructor).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    found = (_option(name, kind, parameters[name].default) for name, kind in _kinds(constructor, parameters).items())
    return tuple(option for option in found if option is not None)


def _kinds(constructor: Callable[..., Any], names: Iterable[str]) -> dict[str, Any]:
    """The annotations of `names`, evaluated; without those that name what only a type checker imports."""
    called = constructor.__init__ if isinstance(constructor, type) else constructor  # type: ignore[misc]
    function: Any = inspect.unwrap(called)
    annotations: dict[str, Any] = getattr(function, "__annotations__", {})
    kinds = {
        name: _evaluated(annotations[name], _words_of(constructor, name, function))
        for name in names
        if name in annotations
    }
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _words_of(constructor: Callable[..., Any], name: str, function: Any) -> dict[str, Any]:
    """What the words of an annotation mean: in the module of the class that has the field, where it is inherited."""
    for kind in getattr(constructor, "__mro__", ()):
        if name in vars(kind).get("__annotations__", {}):
            return vars(sys.modules[kind.__module__])
    words: dict[str, Any] = function.__globals__
    return words


def _evaluated(annotation: Any, words: dict[str, Any]) -> Any:
    one = SimpleNamespace(__annotations__={"kind": annotation})
    try:
        return get_type_hints(one, words, include_extras=True)["kind"]
    except NameError:
        if "Annotated[" in str(annotation):  # an option must not vanish because of its author's imports
            raise
        return None


def _option(name: str, hint: Any, default: Any) -> Option | None:
    if get_origin(hint) is not Annotated:
        return None
    kind, *notes = get_args(hint)
    note = next((note for note in notes if isinstance(note, Opt | OneOf)), None)
    return None if note is None else Option(name, kind, note, default)
