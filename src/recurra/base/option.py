"""How a constructor documents and bounds a parameter that a config file may set.

The signature is the schema: keyword-only parameters are options, positional ones come from the data or the caller.

    def __init__(self, num_tokens: int, *,
                 hidden_size: Annotated[int, Opt("units per layer and direction", ge=1)] = 128): ...

`Opt` is only a note on the annotation; `config/` reads it, checks a file against it and writes it as a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Opt:
    """What one option means. `choices` lists allowed words, or is the registry that holds them.

    named: the text is a name out of the data (a column, a score of a label), and every spelling of it is the same
    """

    doc: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] | Mapping[str, Any] | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """The option is a component: a word of `registry`, or `{name: word, option: value, ...}` of its constructor."""

    doc: str
    registry: Mapping[str, Any]
