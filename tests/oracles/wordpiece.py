"""WordPiece as BERT cuts, character by character: which pieces a text has, and where each of them stands in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

Letter = tuple[str, int, int]
CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
       (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))  # fmt: skip


def cut(text: str, pieces: Collection[str], *, lowercase: bool) -> list[tuple[str, int, int]]:
    """Pieces with their places, [UNK] for a word that has no pieces."""
    found = []
    for word in words([one for k, c in enumerate(text) for one in cleaned(c, k, lowercase)]):
        found += pieces_of(word, pieces)
    return found


def cleaned(c: str, at: int, lowercase: bool) -> list[Letter]:
    """What is left of a character: nothing of a control character, and of an accent nothing if lower-cased."""
    kind = unicodedata.category(c)
    if c in "\t\n\r" or kind == "Zs":
        return [(" ", at, at + 1)]
    if c in "\0�" or kind in ("Cc", "Cf", "Co", "Cs"):
        return []
    if not lowercase:
        return [(c, at, at + 1)]
    parts = (d for d in unicodedata.normalize("NFD", c) if unicodedata.category(d) != "Mn")
    return [(e, at, at + 1) for d in parts for e in d.lower()]


def words(letters: list[Letter]) -> list[list[Letter]]:
    """Runs of letters; a sign and a Chinese character is a word of its own."""
    found: list[list[Letter]] = [[]]
    for letter in letters:
        if letter[0].isspace():
            found.append([])
        elif alone(letter[0]):
            found += [[letter], []]
        else:
            found[-1].append(letter)
    return [word for word in found if word]


def alone(c: str) -> bool:
    code = ord(c)
    ascii_sign = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_sign or unicodedata.category(c).startswith("P") or any(a <= code <= b for a, b in CJK)


def pieces_of(word: list[Letter], pieces: Collection[str]) -> list[tuple[str, int, int]]:
    """The longest piece that the word begins with, again and again."""
    found, start = [], 0
    while start < len(word):
        for stop in range(len(word), start, -1):
            piece = ("##" if start else "") + "".join(letter[0] for letter in word[start:stop])
            if piece in pieces:
                break
        else:
            return [("[UNK]", word[0][1], word[-1][2])]
        found.append((piece, word[start][1], word[stop - 1][2]))
        start = stop
    return found if len(word) <= 100 else [("[UNK]", word[0][1], word[-1][2])]
