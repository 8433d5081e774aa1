"""The contract of a kind of field: what a value of it is like, and how much of it one may send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a task reads. kind: a word of FIELD_KINDS"""

    name: str
    kind: str = "text"


class FieldKind(Protocol):
    """How values of a kind are read from a request, and how much of them there may be.

    smallest: a value that a model is tried with before anybody asks      schema: of a value, as JSON Schema has it
    """

    @property
    def smallest(self) -> Any: ...
    @property
    def schema(self) -> Mapping[str, Any]: ...
    def size(self, value: Any) -> int:
        """How much work a value makes, in characters of text: requests are answered together up to a sum."""
        ...

    def of_request(self, value: Any) -> Any:
        """A value of a request as a file would hold it, never the name of a file.

        Raises ValueError, a clause that follows the field's name, for what is larger than the kind allows.
        """
        ...
