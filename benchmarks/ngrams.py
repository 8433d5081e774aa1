"""A language model of n-grams for a search of speech, of words or of letters, as an ARPA file.

    python benchmarks/ngrams.py OUT.arpa FILE ... [--also FILE ... --times 10] [--words 20000 | --letters]
        [--lexicon FILE] [--order 3] [--keep 1500000]

FILE: lines of text, or CSV with a column `text`, gzip too. Sentences end at signs of punctuation and at the ends of
lines; words are letters, apostrophes and hyphens, in lower case. --also: texts like those that will be heard; they
count so many times. Of words the most frequent are kept, and those of --also; others are <unk>, and OUT.words has them,
for `--lexicon`. Of letters the space is <space>. --lexicon: no other words than the first of each line, which may have
its pronunciation behind it; a compound that is none is read as its parts.
Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998, section 4.1.6). Of the orders above 1 those n-grams are
kept that change most: count * |ln p - ln p of the shorter one| (Seymore & Rosenfeld 1996, "Scalable backoff language
models"), and their histories.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.data.lexicons import Lexicon
from recurra.decode.ngrams import MOST_WORDS

Ids = NDArray[np.int64]
Numbers = NDArray[np.float64]
START, END, UNKNOWN, SPACE = "<s>", "</s>", "<unk>", "<space>"
LETTERS = " abcdefghijklmnopqrstuvwxyz'-"
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
# Of texts from pages: what is no sentence, and endings that stand apart.
MARKUP, APART = re.compile(r"<[^>]*>"), re.compile(r" (?=(?:n't|'s|'re|'ve|'ll|'d|'m)\b)")
ENDS = re.compile(r'[.!?;:()"\n]+')


def sentences(path: Path) -> Iterator[list[str]]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8")
        csv.field_size_limit(10_000_000)
        rows = (row["text"] for row in csv.DictReader(text)) if ".csv" in path.suffixes else text
        for row in rows:
            for sentence in ENDS.split(APART.sub("", MARKUP.sub(". ", row).lower())):
                if words := WORD.findall(sentence):
                    yield words


@dataclass(frozen=True, slots=True)
class Corpus:
    """ids: of all sentences, each from START, 0, to END, 1"""

    names: Sequence[str]
    ids: Ids


def of_words(
    files: Sequence[Path], also: Sequence[Path], times: int, most: int, lexicon: Collection[str] | None = None
) -> Corpus:
    """lexicon: the only words; None: all"""

    def said(sentence: list[str]) -> Iterator[str]:
        for word in sentence:
            yield from (word,) if lexicon is None or word in lexicon else word.split("-")

    counts, own = (
        Counter(word for file in some for s in sentences(file) for word in said(s)) for some in (files, also)
    )
    kept = dict.fromkeys(word for word, _ in counts.most_common() if lexicon is None or word in lexicon)
    kept = dict.fromkeys(list(kept)[:most])
    kept |= dict.fromkeys(word for word in own if lexicon is None or word in lexicon)
    names = [START, END, UNKNOWN, *kept]
    place = {word: k for k, word in enumerate(names)}
    return Corpus(names, _read([*files, *also * times], lambda s: (place.get(word, 2) for word in said(s))))


def of_letters(files: Sequence[Path], also: Sequence[Path], times: int) -> Corpus:
    place = {letter: k + 2 for k, letter in enumerate(LETTERS)}
    ids = _read([*files, *also * times], lambda sentence: (place[letter] for letter in " ".join(sentence)))
    return Corpus([START, END, SPACE, *LETTERS[1:]], ids)


def _read(files: Sequence[Path], numbers: Callable[[list[str]], Iterator[int]]) -> Ids:
    return np.fromiter((one for file in files for s in sentences(file) for one in (0, *numbers(s), 1)), np.int64)


@dataclass(frozen=True, slots=True)
class Order:
    """The n-grams of one order, as numbers in base `size`, sorted. counts: how often they are   p: of the last token"""

    keys: Ids
    counts: Ids
    p: Numbers

    def of(self, keys: Ids) -> Numbers:
        return self.p[np.searchsorted(self.keys, keys)]


def counted(ids: Ids, size: int, order: int) -> tuple[Ids, Ids]:
    """The different n-grams, and how often they are; none has tokens of two sentences."""
    keys, inside = np.zeros(len(ids) - order + 1, np.int64), np.ones(len(ids) - order + 1, bool)
    for k in range(order):
        part = ids[k : len(ids) - order + 1 + k]
        keys = keys * size + part
        inside &= (part != 0) | (k == 0)
    return np.unique(keys[inside], return_counts=True)


def continued(keys: Ids, counts: Ids, longer: Ids, size: int, order: int) -> Ids:
    """How many different tokens stand before each n-gram; for those that begin a sentence, how often they are."""
    found = np.zeros_like(counts)
    ends, before = np.unique(longer % size**order, return_counts=True)
    found[np.searchsorted(keys, ends)] = before
    begins = keys // size ** (order - 1) == 0
    return np.where(begins if order > 1 else keys < 0, counts, found)


def smoothed(keys: Ids, counts: Ids, size: int, below: Numbers) -> Numbers:
    """p of each n-gram's last token, by `counts` and by p after the shorter history, `below`."""
    groups, group = np.unique(keys // size, return_inverse=True)
    taken = discounts(counts)[np.minimum(counts, 3)]
    total = np.maximum(np.bincount(group, counts, len(groups)), 1e-9)
    return (counts - taken) / total[group] + (np.bincount(group, taken, len(groups)) / total)[group] * below


def discounts(counts: Ids) -> Numbers:
    """Of n-grams that are there 0, 1, 2 and more times (Chen & Goodman 1998, equation 26)."""
    n = np.maximum([np.count_nonzero(counts == k) for k in range(1, 5)], 1)
    share = n[0] / (n[0] + 2 * n[1])
    found = [k - (k + 1) * share * n[k] / n[k - 1] for k in (1, 2, 3)]
    return np.array([0.0, *np.clip(found, 0.1, [1, 2, 3])])


def model(corpus: Corpus, order: int) -> list[Order]:
    """All n-grams, of each order; each one's shorter one is there too."""
    size, found = len(corpus.names), list[Order]()
    most = max(n for n in range(1, MOST_WORDS + 1) if size**n < 2**63)
    if not 2 <= order <= most:
        raise SystemExit(f"--order: expected 2 to {most} for {size:,} kinds of tokens, got {order}")
    # Of the lowest order all tokens, those that no sentence has too: else p of the file would sum up to less than 1.
    raw = [(np.arange(size), np.bincount(corpus.ids, minlength=size))]
    raw += [counted(corpus.ids, size, n) for n in range(2, order + 1)]
    for n, (keys, counts) in enumerate(raw, 1):
        weighed = continued(keys, counts, raw[n][0], size, n) if n < order else counts
        below = found[-1].of(keys % size ** (n - 1)) if found else np.full(len(keys), 1 / (size - 1))
        found.append(Order(keys, counts, smoothed(keys, weighed, size, below)))
    return found


def pruned(orders: Sequence[Order], size: int, keep: int) -> list[Order]:
    """The n-grams above order 1 that change most, `keep` of them, with all of their histories."""
    change = [
        long.counts * np.abs(np.log(long.p / np.maximum(short.of(long.keys % size**n), 1e-30)))
        for n, (short, long) in enumerate(pairwise(orders), 1)
    ]
    every = np.concatenate(change)
    least = -np.inf if len(every) <= keep else np.partition(every, len(every) - keep)[len(every) - keep]
    found: list[Order] = []
    for k in range(len(orders) - 1, -1, -1):
        one = orders[k]
        kept = change[k - 1] >= least if k else np.ones(len(one.keys), bool)
        if found:
            kept[np.searchsorted(one.keys, np.unique(found[0].keys // size))] = True
        found.insert(0, Order(one.keys[kept], one.counts[kept], one.p[kept]))
    return found


def weighted(orders: Sequence[Order], size: int) -> list[Numbers]:
    """ln of what is left of p for tokens that an n-gram is no history of, over what the shorter one gives them."""
    weights: list[Numbers] = []
    for n, (one, longer) in enumerate(pairwise(orders), 1):
        place = np.searchsorted(one.keys, longer.keys // size)
        below = looked_up(orders[:n], weights, longer.keys % size**n, size)
        left, missing = (1 - np.bincount(place, p, len(one.keys)) for p in (longer.p, below))
        weights.append(np.log(np.clip(left / np.maximum(missing, 1e-9), 1e-9, 1e9)))
    return weights


def looked_up(orders: Sequence[Order], weights: Sequence[Numbers], keys: Ids, size: int) -> Numbers:
    """p of n-grams of the highest order, as who reads the file finds it."""
    own = orders[-1]
    if len(orders) == 1:
        return own.of(keys)
    n = len(orders) - 1
    at, known = _found(own.keys, keys)
    history, is_history = _found(orders[-2].keys, keys // size)
    weight = np.where(is_history, np.exp(weights[n - 1][history]), 1.0)
    return np.where(known, own.p[at], weight * looked_up(orders[:-1], weights, keys % size**n, size))


def _found(known: Ids, keys: Ids) -> tuple[Ids, NDArray[np.bool_]]:
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return at, known[at] == keys


def write(path: Path, names: Sequence[str], orders: Sequence[Order]) -> None:
    weights = [*weighted(orders, len(names)), None]
    with path.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={len(one.keys)}\n" for n, one in enumerate(orders, 1)))
        for n, (one, after) in enumerate(zip(orders, weights, strict=True), 1):
            file.write(f"\n\\{n}-grams:\n")
            back = [""] * len(one.keys) if after is None else [f"\t{w:.4f}" for w in (after / np.log(10)).tolist()]
            digits = [(one.keys // len(names) ** k % len(names)).tolist() for k in range(n - 1, -1, -1)]
            p = np.where(one.keys == 0, 1e-99, one.p) if n == 1 else one.p
            for log_p, weight, *said in zip(np.log10(np.minimum(p, 1)).tolist(), back, *digits, strict=True):
                file.write(f"{log_p:.4f}\t{' '.join(names[k] for k in said)}{weight}\n")
        file.write("\n\\end\\\n")


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="texts like those that will be heard")
    parser.add_argument("--times", type=int, default=10, help="how often those count")
    parser.add_argument("--letters", action="store_true")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--lexicon", type=Path, help="no other words than these, such as a pronouncing dictionary's")
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--keep", type=int, default=1_500_000)
    asked = parser.parse_args()
    if asked.keep < 1:
        parser.error(f"--keep: expected at least 1 n-gram, got {asked.keep}")
    if asked.letters and asked.lexicon:
        parser.error("--lexicon: has no effect with --letters; leave one out")
    if asked.letters:
        corpus = of_letters(asked.files, asked.also, asked.times)
    else:
        lexicon = frozenset(word.lower() for word in Lexicon.read(asked.lexicon)) if asked.lexicon else None
        corpus = of_words(asked.files, asked.also, asked.times, asked.words, lexicon)
        asked.out.with_suffix(".words").write_text("\n".join(corpus.names[3:]) + "\n", encoding="utf-8")
    orders = pruned(model(corpus, asked.order), len(corpus.names), asked.keep)
    write(asked.out, corpus.names, orders)
    counts = ", ".join(f"{len(one.keys):,}" for one in orders)
    print(f"{len(corpus.ids):,} tokens of {len(corpus.names):,} kinds, n-grams: {counts}")


if __name__ == "__main__":
    main()
