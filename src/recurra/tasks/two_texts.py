"""Two texts as the tokens of one row: what tasks share whose models read a pair, with word pieces or without."""

from __future__ import annotations

import numpy as np

from recurra.data.tokenizers import EOS, PAIR, Encoded, encode
from recurra.tasks.text import TextEncoder

Tokens = tuple[str, ...]


def encoded_pair(reader: TextEncoder, first: str, second: str) -> tuple[Encoded, int]:
    """Both texts as a model reads them, within the limit; and how many tokens they have without it.

    Word pieces: [CLS] first [SEP] second [SEP]; other tokens: first <eos> second.
    """
    if reader.pieces is not None:
        return reader.encode(PAIR.join(part.replace(PAIR, " ") for part in (first, second)))
    parts = reader.tokens(first), reader.tokens(second)
    number = len(parts[0]) + len(parts[1]) + 1
    if reader.max_length is not None:
        parts = fitted(*parts, reader.max_length - 1)
    one, other = (encode(reader.vocabulary, part) for part in parts)
    mark = np.array([EOS], reader.vocabulary.dtype).tobytes()
    spelt = b"\xff".join(part.spelling for part in (one, other) if part.spelling)
    return Encoded(reader.vocabulary, one.data + mark + other.data, spelt), number


def fitted(first: Tokens, second: Tokens, room: int) -> tuple[Tokens, Tokens]:
    """Both texts with so many tokens at most: one is taken from the end of the longer, on equality of the second, until
    they fit."""
    one, other = len(first), len(second)
    if one + other > room:
        short = min(one, other)
        if 2 * short >= room:
            one, other = room - room // 2, room // 2
        else:
            one, other = (room - short, short) if one > other else (short, room - short)
    return first[:one], second[:other]
