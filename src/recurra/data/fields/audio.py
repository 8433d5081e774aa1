"""Fields of sound: the name of a file, or the bytes of one; in a request bytes alone, as base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.data.formats.sounds import SUFFIXES
from recurra.data.sound import decoded_size, silence, split_part

# Bytes of a file in a request: two minutes of 16 bits at 48,000 Hz; as base64, 16,000,000 characters.
MOST_BYTES = 12_000_000
LONGEST = 4 * MOST_BYTES // 3
# Samples of all channels that these may hold: one a byte. FLAC writes hours of silence in so many.
MOST_SAMPLES = MOST_BYTES


class Audio:
    """A sound file: its bytes, or its name where a file of the user names it."""

    smallest = silence(8_000, 800)

    @property
    def schema(self) -> Mapping[str, Any]:
        """As JSON Schema has it."""
        return {"type": "string", "contentEncoding": "base64", "maxLength": LONGEST}

    def size(self, value: Any) -> int:
        """About what a step of features takes: 160 bytes of a file."""
        return len(value) // 160 if isinstance(value, bytes) else 1

    def of_request(self, value: Any) -> Any:
        """The bytes of a file. Raises ValueError for what is no base64, or too long: a name is never opened."""
        if isinstance(value, bytes) and len(value) <= MOST_BYTES:
            return value
        if not isinstance(value, str):
            raise ValueError("is no text; expected the bytes of a sound file as base64")
        if len(value) > LONGEST:
            raise ValueError(f"has {len(value):,} characters; a sound can have {LONGEST:,}, as base64")
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is no base64; expected the bytes of a sound file, not its name") from None
        if (samples := decoded_size(raw) or 0) > MOST_SAMPLES:
            raise ValueError(f"holds {samples:,} samples; a request can have {MOST_SAMPLES:,}")
        return raw


AUDIO = Audio()


def names_sound(value: Any) -> bool:
    """Whether a value of a file is a sound, or has the name of one, or of a part of one."""
    if not isinstance(value, str | Path):
        return False
    name, _ = split_part(Path(str(value).strip().lower()))
    return isinstance(name, Path) and name.suffix in SUFFIXES
