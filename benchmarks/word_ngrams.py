"""A language model of word trigrams for a search of speech, as an ARPA file.

    python benchmarks/word_ngrams.py OUT.arpa FILE ... [--also FILE ...] [--words 20000]

FILE: lines of text, or CSV with a column `text`, gzip too. Sentences end at . ! ? and at the ends of lines; words are
letters, apostrophes and hyphens, in lower case. The most frequent are kept, and those of --also; others are <unk>.
Trigrams that occur once are left out, and bigrams that follow one word alone. OUT.words has the words, for `--lexicon`.
Interpolated Kneser-Ney smoothing with one discount an order (Chen & Goodman 1998, section 4.1.6).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
# Of texts from pages: what is no sentence.
MARKUP = re.compile(r"<[^>]*>")


def sentences(path: Path) -> Iterator[list[str]]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8")
        csv.field_size_limit(10_000_000)
        rows = (row["text"] for row in csv.DictReader(text)) if ".csv" in path.suffixes else text
        for row in rows:
            for sentence in re.split(r"[.!?\n]+", MARKUP.sub(" ", row).lower()):
                if words := WORD.findall(sentence):
                    yield words


def read(files: Sequence[Path], also: Sequence[Path], most: int) -> tuple[list[str], Ids]:
    """The vocabulary, with START, END and UNKNOWN first, and the ids of all sentences, each from START to END."""
    counts: Counter[str] = Counter()
    for file in files:
        for sentence in sentences(file):
            counts.update(sentence)
    kept = dict.fromkeys(word for word, _ in counts.most_common(most))
    for file in also:
        kept |= dict.fromkeys(word for sentence in sentences(file) for word in sentence)
    words = [START, END, UNKNOWN, *kept]
    place = {word: k for k, word in enumerate(words)}
    ids = np.fromiter((one for file in [*files, *also] for s in sentences(file) for one in _ids(s, place)), np.int64)
    return words, ids


def _ids(sentence: Sequence[str], place: dict[str, int]) -> list[int]:
    return [0, *(place.get(word, 2) for word in sentence), 1]


def grams_of(ids: Ids, size: int, order: int) -> tuple[Ids, Ids]:
    """The different n-grams of one order, as numbers in base `size`, and their counts; none has two sentences."""
    keys, inside = np.zeros(len(ids) - order + 1, np.int64), np.ones(len(ids) - order + 1, bool)
    for k in range(order):
        part = ids[k : len(ids) - order + 1 + k]
        keys = keys * size + part
        inside &= (part != 0) | (k == 0)
    return np.unique(keys[inside & (keys != 0)] if order == 1 else keys[inside], return_counts=True)


def continued(longer: Ids, size: int, order: int, raw: tuple[Ids, Ids]) -> tuple[Ids, Ids]:
    """How many different words stand before each n-gram; those that begin a sentence keep how often they do."""
    first = size ** (order - 1)
    found = np.where(raw[0] // first == 0, raw[1], 0)
    keys, counts = np.unique(longer % size**order, return_counts=True)
    inner = keys // first != 0
    found[np.searchsorted(raw[0], keys[inner])] = counts[inner]
    return raw[0][found > 0], found[found > 0]


def smoothed(keys: Ids, counts: Ids, size: int, below: Numbers, kept: Mask) -> tuple[Ids, Numbers, Numbers]:
    """The kept n-grams, their p, and for each kept one's history the weight of falling back, by history.

    below: p of each n-gram's last word after the shorter history
    """
    history = keys // size
    groups, group = np.unique(history, return_inverse=True)
    once, twice = float((counts == 1).sum()), float((counts == 2).sum())
    discount = once / (once + 2 * twice) if once else 0.5
    total = np.bincount(group, counts)
    gained = discount * np.bincount(group) / total
    p = (counts - discount) / total[group] + gained[group] * below
    left = 1 - np.bincount(group[kept], p[kept], len(groups))
    missing = 1 - np.bincount(group[kept], below[kept], len(groups))
    weight = np.where(missing > 1e-9, left / np.maximum(missing, 1e-9), 1.0)
    return keys[kept], p[kept], np.stack([groups.astype(np.float64), weight])


def looked_up(keys: Ids, known: Ids, p: Numbers, history: Ids, shorter: Numbers, weights: Numbers) -> Numbers:
    """p of n-grams in a model of the order below: their own, or what is left by falling back to `shorter`."""
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    own = known[at] == keys
    groups = weights[0].astype(np.int64)
    place = np.minimum(np.searchsorted(groups, history), len(groups) - 1)
    weight = np.where(groups[place] == history, weights[1][place], 1.0)
    return np.where(own, p[at], weight * shorter)


def trigrams(ids: Ids, size: int) -> list[tuple[Ids, Numbers, Numbers]]:
    """(n-grams, p, (histories of the order above, weights)) of the orders 1 to 3."""
    three, two, one = (grams_of(ids, size, order) for order in (3, 2, 1))
    low = continued(two[0], size, 1, one)
    middle = continued(three[0], size, 2, two)
    words = np.zeros(size)
    words[low[0]] = low[1]
    words[0] = 0
    words[2] = max(words[2], 1)
    uniform, held = 1 / (size - 1), 0.5 / max(words.sum(), 1) * np.count_nonzero(words)
    words = (np.maximum(words - 0.5, 0)) / words.sum() + held * uniform
    words[0] = 1e-99
    often = three[1] > 1
    histories = np.isin(middle[0], three[0][often] // size)  # their weight stands beside them
    keys, p, weights = smoothed(*middle, size, words[middle[0] % size], (middle[1] > 1) | histories)
    unigrams = (np.arange(size), words, weights)
    below = looked_up(three[0] % size**2, keys, p, three[0] % size**2 // size, words[three[0] % size], weights)
    top = smoothed(*three, size, below, often)
    return [unigrams, (keys, p, top[2]), (top[0], top[1], np.zeros((2, 0)))]


def write(path: Path, words: Sequence[str], model: Sequence[tuple[Ids, Numbers, Numbers]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n" + "".join(f"ngram {k + 1}={len(keys)}\n" for k, (keys, _, _) in enumerate(model)))
        for k, (keys, p, weights) in enumerate(model):
            file.write(f"\n\\{k + 1}-grams:\n")
            back = dict(zip(weights[0].astype(np.int64).tolist(), weights[1].tolist(), strict=True))
            for key, value in zip(keys.tolist(), p.tolist(), strict=True):
                said = [words[key // len(words) ** place % len(words)] for place in range(k, -1, -1)]
                weight = f"\t{np.log10(max(back[key], 1e-9)):.4f}" if key in back else ""
                file.write(f"{np.log10(min(value, 1.0)):.4f}\t{' '.join(said)}{weight}\n")
        file.write("\n\\end\\\n")


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="texts whose words are all kept")
    parser.add_argument("--words", type=int, default=20_000)
    asked = parser.parse_args()
    words, ids = read(asked.files, asked.also, asked.words)
    model = trigrams(ids, len(words))
    write(asked.out, words, model)
    asked.out.with_suffix(".words").write_text("\n".join(words[3:]) + "\n", encoding="utf-8")
    print(f"{len(ids):,} tokens, {len(words):,} words, n-grams: {', '.join(f'{len(keys):,}' for keys, _, _ in model)}")


if __name__ == "__main__":
    main()
