"""Fields of pictures: the name of a file, or the bytes of one; in a request bytes alone, as base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.data.pictures import decoded_pixels, png_of

# Bytes of a file in a request; as base64, 16,000,000 characters.
MOST_BYTES = 12_000_000
LONGEST = 4 * MOST_BYTES // 3
# What a picture costs beside texts that are answered with it, in characters.
COST = 256


class Image:
    """A picture file: its bytes, or its name where a file of the user names it."""

    smallest = png_of(np.full((2, 2, 3), 255, np.uint8))

    @property
    def schema(self) -> Mapping[str, Any]:
        """As JSON Schema has it."""
        return {"type": "string", "contentEncoding": "base64", "maxLength": LONGEST}

    def size(self, value: Any) -> int:
        """The same for each: all are read at one size."""
        return COST

    def of_request(self, value: Any) -> Any:
        """The bytes of a file. Raises ValueError for what is no base64, no picture, or too large.

        A name is never opened.
        """
        raw = value if isinstance(value, bytes) else _decoded(value)
        if len(raw) > MOST_BYTES:
            raise ValueError(f"has {len(raw):,} bytes; a picture can have {MOST_BYTES:,}")
        decoded_pixels(raw)
        return raw


IMAGE = Image()


def _decoded(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("is no text; expected the bytes of a picture file as base64")
    if len(value) > LONGEST:
        raise ValueError(f"has {len(value):,} characters; a picture can have {LONGEST:,}, as base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is no base64; expected the bytes of a picture file, not its name") from None
