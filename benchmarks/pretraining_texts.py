"""One file of English texts for pre-training: Wikipedia articles and film reviews, a blank line between two documents.

python benchmarks/pretraining_texts.py WIKITEXT.txt.gz REVIEWS.csv.gz [MORE.txt.gz ...] texts.txt

Reviews are a CSV with a column `text`, or a text with one review a line.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

# WikiText has signs between spaces, and a mark for rare words.
_MARKS = (("<unk>", ""), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."))


def articles(path: Path) -> Iterator[str]:
    """The paragraphs of WikiText, and a blank line in front of each article."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            for mark, plain in _MARKS:
                line = line.replace(mark, plain)
            if re.fullmatch(r" = [^=].* = \n", line):
                yield ""
            if line.strip() and not line.startswith(" ="):
                yield line.strip()


def reviews(path: Path) -> Iterator[str]:
    """The column `text` of a CSV, or the lines of a text, each between blank lines, its paragraphs as lines."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as rows:
        for text in (row["text"] for row in csv.DictReader(rows)) if ".csv" in path.suffixes else rows:
            yield ""
            yield from filter(None, (part.strip() for part in re.split(r"<br\s*/?>|\n", text)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wikitext", type=Path)
    parser.add_argument("reviews", type=Path, nargs="+")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    with args.output.open("w", encoding="utf-8") as file:
        for line in itertools.chain(articles(args.wikitext), *map(reviews, args.reviews)):
            file.write(f"{line}\n")


if __name__ == "__main__":
    main()
