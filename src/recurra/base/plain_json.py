"""JSON from a file that anybody may have written: bounded, and with one meaning only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

# A vocabulary of a million words takes about 20 MB, and a value a word.
MAX_BYTES = 64 * 2**20
# A value takes 8 to 64 bytes of memory, however short it is written.
MAX_VALUES = 3_000_000


def loads(data: bytes) -> Any:
    """The value of a JSON text.

    Raises ValueError for what is no JSON, is nested too deeply, is larger than `MAX_BYTES` or has more than
    `MAX_VALUES` values (before it takes memory), for a key that comes twice in one object, and for NaN and infinity,
    which JSON has not.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has {len(data):,} bytes, expected at most {MAX_BYTES:,}")
    # Each value but the first stands behind one of these; those inside of texts count too.
    values = 1 + sum(map(data.count, (b",", b"[", b"{", b":")))
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values:,} values, expected at most {MAX_VALUES:,}")
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:40]!r} comes twice")
    return found


def _refused(word: str) -> NoReturn:
    raise ValueError(f"it has the number {word}, which JSON has not")
