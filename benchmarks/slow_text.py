"""Text that is slow where a program goes back in it: tokenizers, cutters and readers must be linear in it.

    python benchmarks/slow_text.py                          every pattern and reader of text, some minutes
    python benchmarks/slow_text.py --only characters,csv    some of them
    python benchmarks/slow_text.py --bytes 200000           less text, and as much less time for it

Each pattern is repeated up to half a megabyte and up to one, and each is cut into tokens, and read as a file of each
format, bad rows left out. The exit code is 1 if one megabyte takes more than 2 s of CPU (of a reader: and 5 us for
each line, for a megabyte of line breaks is a million rows), or more than 2.5 times as long as half of it; what is over
is measured three times, and the fastest counts. Subwords learn from ordinary text.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from recurra.base.errors import DataError
from recurra.data.formats import FORMATS, SkippedRows, read
from recurra.data.tokenizers import CUTTERS, TOKENIZERS
from recurra.data.tokenizers.subwords import Algorithm, Subwords

SECONDS_A_MEGABYTE, SECONDS_A_LINE, RATIO = 2.0, 5e-6, 2.5
# Shorter times say nothing about how they grow.
WORTH = 0.05

PATTERNS: Mapping[str, str] = {
    "one endless word": "a",
    "one endless word, and another letter": "a" * 997 + "b",
    "syllables": "abcdefghijklmnop",
    "punctuation": "!?.,;:",
    "apostrophes": "a'",
    "combining marks": "\u0301\u0323",
    "half-width marks": "\u0301\uff9e",
    "alternating scripts": "a\u0436\u3042\u4e00\u0e01\u0627",
    "nested quotes": "\"'",
    "quotes that never close": '",a","\n',
    "a quote a line": '"a\n',
    "newlines": "\n",
    "mixed line ends": "a\r\nb\rc\n\r",
    "joiners": "\u200d",
    "emoji and joiners": "\U0001f468\U0001f3fd\u200d",
    "flags": "\U0001f1e6",
    "Hangul parts": "\u1100\u1161",
    "Indic conjuncts": "\u0915\u094d",
    "prepended signs": "\u0600",
    "addresses": "http://a.b/c?d=e&f=%20#g@h-i_j",
    "digits": "1234567890",
    "digits and points": "1.",
    "spaces": " ",
    "brackets": "[{",
    "backslashes": "\\u",
    "formulas": "'\\=",
}

# Of each format: how its files end, and what stands in front of the pattern.
FILES: Mapping[str, tuple[str, Sequence[str]]] = {
    "csv": (".csv", ("text\n",)),
    "tsv": (".tsv", ("text\n",)),
    "jsonl": (".jsonl", ("", '{"text": "', '{"text": 0', '{"text": -0.')),
    "text": (".txt", ("",)),
    "conll": (".conll", ("a O\n",)),
    "conllu": (".conllu", ("", "1")),
}

Work = Callable[[str], object]


def repeated(pattern: str, size: int) -> str:
    """So many bytes of it in UTF-8, or a few less."""
    return pattern * (size // len(pattern.encode()))


def cutters() -> dict[str, Work]:
    """By name, what cuts a text."""
    ordinary = [str(number) for number in range(2000)] + Path(__file__).read_text("utf-8").splitlines()
    found: dict[str, Work] = {}
    for name in TOKENIZERS:
        if name != "subwords":
            found[name] = TOKENIZERS[name](normalization="nfkc").train([]).tokenize  # type: ignore[call-arg]
    for algorithm in get_args(Algorithm):
        plan = Subwords(algorithm=algorithm, vocab_size=500, normalization="nfkc")
        found[f"subwords ({algorithm})"] = plan.train([*ordinary, *(p * 5 for p in PATTERNS.values())]).tokenize
    return found | {f"places of {name}": cut for name, cut in CUTTERS.items()}


def readers(folder: Path) -> dict[str, Work]:
    """By name, what reads a text as a file."""

    def reading(ending: str, front: str) -> Work:
        def work(text: str) -> None:
            path = folder / f"slow{ending}"
            path.write_text(front + text, encoding="utf-8", newline="")
            try:
                for _ in read(path, bad_rows=SkippedRows()):
                    pass
            except DataError:
                pass  # no good row in all of it

        return work

    def parallel(text: str) -> None:
        for language in ("a", "b"):
            (folder / f"slow.{language}").write_text(text, encoding="utf-8", newline="")
        try:
            for _ in read(folder / "slow.{a,b}", bad_rows=SkippedRows()):
                pass
        except DataError:
            pass

    found = {
        f"{name}{f' after {front!r}' * (number > 0)}": reading(ending, front)
        for name, (ending, fronts) in FILES.items()
        for number, front in enumerate(fronts)
    }
    assert {name.split()[0] for name in found} | {"parallel"} == set(FORMATS), "a format is missing here"
    return found | {"parallel": parallel}


def seconds(work: Work, text: str) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    work(text)
    return time.process_time() - begun


@dataclass(frozen=True, slots=True)
class Found:
    """CPU seconds for a text, and how many times those of half of it; 0 where they are too few to tell."""

    seconds: float
    ratio: float
    limit: float

    @property
    def over(self) -> bool:
        """Whether it is too much."""
        return self.seconds > self.limit or self.ratio > RATIO


def measured(work: Work, pattern: str, size: int, a_line: float) -> Found:
    """The pattern at this size and half of it. a_line: seconds that each line may take beside its text."""
    whole, half = repeated(pattern, size), repeated(pattern, size // 2)
    limit = SECONDS_A_MEGABYTE * size / 1e6 + a_line * whole.count("\n")
    least = least_half = float("inf")
    for _ in range(3):
        least, least_half = min(least, seconds(work, whole)), min(least_half, seconds(work, half))
        found = Found(least, least / least_half if least > WORTH else 0.0, limit)
        if not found.over:
            break
    return found


def shown(name: str, found: Mapping[str, Found]) -> int:
    """Print one line of the slowest, and one for each that is over. Returns how many are over."""
    slowest = max(found, key=lambda pattern: found[pattern].seconds)
    steepest = max(found, key=lambda pattern: found[pattern].ratio)
    print(
        f"{name:26} slowest {found[slowest].seconds:5.2f} s ({slowest}), "
        f"steepest {found[steepest].ratio:4.2f} ({steepest})",
        flush=True,
    )
    bad = {pattern: one for pattern, one in found.items() if one.over}
    for pattern, one in bad.items():
        print(f"  over: {pattern}: {one.seconds:.2f} s, {one.ratio:.2f} times half", flush=True)
    return len(bad)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print the slowest pattern of each, and all that is over. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help="words that begin what is measured")
    parser.add_argument("--bytes", type=int, default=1_000_000)
    asked = parser.parse_args(words)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        kinds = ((cutters(), 0.0), (readers(Path(folder)), SECONDS_A_LINE))
        for name, work, a_line in ((name, work, a_line) for works, a_line in kinds for name, work in works.items()):
            if asked.only and not name.startswith(tuple(asked.only)):
                continue
            found = {word: measured(work, text, asked.bytes, a_line) for word, text in PATTERNS.items()}
            failures += shown(name, found)
    print(f"{failures} over {SECONDS_A_MEGABYTE:g} s a megabyte or {RATIO:g} times half of it")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
