"""Fields of films: in a file the name of a folder of pictures, or of a video; in a request the pictures, as base64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.data.fields.images import IMAGE

# Pictures of a request.
MOST = 512


class Film:
    """Pictures in order: a list of their bytes, or a name where a file of the user names it."""

    smallest = (IMAGE.smallest, IMAGE.smallest)

    @property
    def schema(self) -> Mapping[str, Any]:
        """As JSON Schema has it."""
        return {"type": "array", "items": IMAGE.schema, "minItems": 1, "maxItems": MOST}

    def size(self, value: Any) -> int:
        """That of each picture; of a name one."""
        return sum(map(IMAGE.size, value)) if isinstance(value, list | tuple) else IMAGE.size(value)

    def of_request(self, value: Any) -> Any:
        """The bytes of each. Raises ValueError for what is no list of pictures; a name is never opened."""
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST:
            raise ValueError(f"is no list of 1 to {MOST} pictures, as base64")
        return tuple(IMAGE.of_request(one) for one in value)


FILM = Film()
