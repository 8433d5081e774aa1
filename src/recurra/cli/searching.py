"""What stands beside speech that is searched: a beam, a language model, hot words, a lexicon."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import natural

OF_SPEECH = ("beam", "lm", "lm_weight", "lm_bonus", "hot_words", "lexicon")


def add_beam(parser: argparse.ArgumentParser, what: str) -> None:
    """--beam. what: is searched"""
    parser.add_argument("--beam", metavar="N", type=natural, help=f"beam size of {what}; 1 is greedy")


def add_search(parser: argparse.ArgumentParser) -> None:
    """What a search of speech has beside its network."""
    parser.add_argument(
        "--lm",
        metavar="PATH",
        type=Path,
        help="a language model beside speech: a run of characters or of words, or an ARPA file; with --beam",
    )
    parser.add_argument("--lm-weight", metavar="X", type=float, help="what its logarithms are multiplied with: 0.5")
    parser.add_argument("--lm-bonus", metavar="X", type=float, help="nats that each of its tokens is worth beside: 0")
    parser.add_argument(
        "--hot-words",
        metavar="WORDS",
        type=_hot_words,
        help="words that are likelier in speech than others, with their nats: recurra=3,Kaldi=2; with --beam",
    )
    parser.add_argument(
        "--lexicon",
        metavar="FILE",
        type=Path,
        help="the only words that speech may say: the first of each line of a text file; with --beam",
    )


def search_options(args: argparse.Namespace) -> dict[str, object]:
    """The options of these that were given."""
    return {name: value for name in OF_SPEECH if (value := getattr(args, name)) is not None}


def _hot_words(text: str) -> dict[str, float]:
    """`recurra=3,Kaldi=2` as words with their nats."""
    try:
        pairs = [(word.strip(), float(nats)) for word, nats in (part.rsplit("=", 1) for part in text.split(","))]
        if len(found := dict(pairs)) < len(pairs):
            raise argparse.ArgumentTypeError(f"expected each word once, got {text!r}")
        return found
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected words with their nats, such as recurra=3,Kaldi=2, got {text!r}"
        ) from None
