"""A translation's BLEU by several ways of cutting: `python benchmarks/translation_scores.py answers.csv --language de`.

answers.csv is what `recurra predict RUN --input TEST --output answers.csv` wrote. All in lower case: sacrebleu's 13a on
the texts as they are, which recurra reports, and the tokens of Moses, of which fairseq counts BLEU (evaluate.sh of
https://github.com/LividWo/Revisit-MMT: 41.02 for English to German). Figures of different ways never compare.
Needs `pip install sacremoses`.
"""

from __future__ import annotations

import argparse
import csv
import sys

from sacrebleu.metrics import BLEU
from sacremoses import MosesPunctNormalizer, MosesTokenizer


def main() -> int:
    """Print a line a way. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers")
    parser.add_argument("--language", required=True, help="of the target: de, fr, ...")
    parser.add_argument("--target", help="column of the references (default: the language)")
    options = parser.parse_args()
    with open(options.answers, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    answers = [row["predicted"].lower() for row in rows]
    references = [row[options.target or options.language].lower() for row in rows]
    say("13a", "13a", answers, references)
    normal, cutter = MosesPunctNormalizer(options.language), MosesTokenizer(options.language)

    def cut(text: str, *, hyphens: bool) -> str:
        return cutter.tokenize(normal.normalize(text), return_str=True, escape=False, aggressive_dash_splits=hyphens)

    for word, hyphens in (("Moses", False), ("Moses, hyphens apart", True)):
        say(word, "none", *([cut(text, hyphens=hyphens) for text in texts] for texts in (answers, references)))
    return 0


def say(word: str, tokenize: str, answers: list[str], references: list[str]) -> None:
    """A line."""
    bleu = BLEU(tokenize=tokenize, lowercase=True, force=True)
    print(f"{word:22} {bleu.corpus_score(answers, [references]).score:.2f}   {bleu.get_signature()}")


if __name__ == "__main__":
    sys.exit(main())
