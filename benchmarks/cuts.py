"""The share of a treebank's tokens that are found in its raw text, by cutter.

    python benchmarks/cuts.py train.conllu dev.conllu test.conllu

CoNLL-U files, also .gz. What is learned is learned from the first one; the other ones are cut. A token counts if it is
cut out at the same place.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from recurra.data.formats import read
from recurra.data.tokenizers import CUTTERS, Place
from recurra.data.tokenizers.learned import Unit, found_share, learn
from recurra.tasks import TaggingConfig


def sentences(path: Path) -> list[tuple[Unit, ...]]:
    """The words of each sentence's raw text, with their tokens."""
    columns = TaggingConfig(tokens="form", tags="upos").columns
    return [columns.read(record).sentence.units for record in read(path)]


def fixed(places: Callable[[str], list[Place]]) -> Callable[[str], tuple[list[str], list[Place]]]:
    """A cutter that learns nothing, with its tokens."""
    return lambda text: ([text[start:end] for start, end in places(text)], places(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    args = parser.parse_args()
    train, others = sentences(args.train), {path.name: sentences(path) for path in args.others}
    start = time.process_time()
    learned = learn(train)
    print(f"learned in {time.process_time() - start:.1f} s of CPU: {len(learned.weights):,} weights")
    for name, cut in {**{word: fixed(places) for word, places in CUTTERS.items()}, "learned": learned}.items():
        print(name, *(f"{other} {100 * found_share(cut, rows):.2f} %" for other, rows in others.items()), sep="\t")


if __name__ == "__main__":
    main()
