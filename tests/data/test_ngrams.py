"""Hashed n-grams, against the same written out with whole numbers of Python."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

import pytest

from recurra.base.errors import ConfigError
from recurra.data.ngrams import HashedNGrams

ODD, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
ALL = 2**64


def mixed(number: int) -> int:
    """The finalizer of splitmix64."""
    number = (number ^ number >> 30) * FIRST % ALL
    number = (number ^ number >> 27) * SECOND % ALL
    return number ^ number >> 31


def words_hashed(run: list[str]) -> int:
    numbers = [mixed(crc32(word.encode()) + (1 << 40)) for word in run]
    found = numbers[0]
    for number in numbers[1:]:
        found = mixed((found * ODD + number) % ALL)
    return mixed(found)


def letters_hashed(run: str) -> int:
    found = 0
    for letter in run:
        found = (found * ODD + ord(letter) + (2 << 40)) % ALL
    return mixed(found)


def oracle(text: str, words: int, characters: tuple[int, int] | None, buckets: int) -> dict[int, int]:
    found: Counter[int] = Counter()
    parts, half = text.split(), (buckets // 2 if words else 0) if characters else buckets
    for size in range(1, words + 1):
        found.update(words_hashed(parts[i : i + size]) % half for i in range(len(parts) - size + 1))
    for size in range(characters[0], characters[1] + 1) if characters else ():
        for word in (f" {part} " for part in parts):
            found.update(
                half + letters_hashed(word[i : i + size]) % (buckets - half) for i in range(len(word) - size + 1)
            )
    return dict(found)


@pytest.mark.parametrize("text", ["a cat sat on a cat", "", "x", "naïve 東京 \U0001f600 naïve", "one"])
@pytest.mark.parametrize(("words", "characters"), [(2, (2, 5)), (3, None), (0, (1, 3)), (1, (3, 8))])
@pytest.mark.parametrize("buckets", [7, 2**18])
def test_counts_are_those_of_the_runs_written_out(
    text: str, words: int, characters: tuple[int, int] | None, buckets: int
) -> None:
    found = HashedNGrams(words=words, characters=characters, buckets=buckets).count(text, text.split())
    assert dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True)) == oracle(text, words, characters, buckets)
    assert found.ids.tolist() == sorted(set(found.ids.tolist()))


def test_numbers_are_the_same_in_every_process_and_version() -> None:
    found = HashedNGrams(words=2, characters=None).count("a cat", ["a", "cat"])
    assert found.ids.tolist() == sorted(
        {words_hashed(["a"]) % 2**18, words_hashed(["cat"]) % 2**18, words_hashed(["a", "cat"]) % 2**18}
    )
    assert words_hashed(["a", "cat"]) == FIXED


# Written down once: a run folder holds weights by these numbers.
FIXED = 0xAF2C0C67F198C000


def at_places(text: str, longest: int, buckets: int) -> Counter[int]:
    """Of one word: the place in " word " times a constant is added to the number of a run."""
    word, found = f" {text} ", Counter[int]()
    for size in range(1, longest + 1):
        for i in range(len(word) - size + 1):
            run = 0
            for letter in word[i : i + size]:
                run = (run * ODD + ord(letter) + (2 << 40)) % ALL
            found[mixed((run + i * 0xD1B54A32D192ED03) % ALL) % buckets] += 1
    return found


def test_runs_at_other_places_are_others_where_places_count() -> None:
    counter = HashedNGrams(words=0, characters=(1, 3), places=True)
    found = {text: counter.count(text, [text]) for text in ("acgt", "gtac", "aaaa")}
    for text, counted in found.items():
        assert dict(zip(counted.ids.tolist(), counted.counts.tolist(), strict=True)) == at_places(text, 3, 2**18)
    # Space and four letters, five pairs, four runs of three: none of them twice; in common are the spaces alone.
    assert len(found["aaaa"].ids) == 6 + 5 + 4
    assert len(set(found["acgt"].ids.tolist()) & set(found["gtac"].ids.tolist())) == 2
    assert len(HashedNGrams(words=0, characters=(1, 3)).count("aaaa", ["aaaa"]).ids) == 8


def test_sizes_that_cannot_be_are_refused_together() -> None:
    with pytest.raises(ConfigError, match=r"characters: are \[5, 2\], expected a shortest and a longest run"):
        HashedNGrams(characters=(5, 2))
    with pytest.raises(ConfigError, match=r"words: is 0 and characters is null, so nothing is counted"):
        HashedNGrams(words=0, characters=None)
