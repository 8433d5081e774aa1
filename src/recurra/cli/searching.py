"""What stands beside speech that is searched: a beam, a language model, hot words, a lexicon."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.base.hot_words import hot_words
from recurra.cli.arguments import natural

OF_LM = ("lm", "lm_weight", "lm_bonus")
OF_SPEECH = ("beam", *OF_LM, "hot_words", "lexicon")


def add_beam(parser: argparse.ArgumentParser, what: str) -> None:
    """--beam. what: is searched"""
    parser.add_argument("--beam", metavar="N", type=natural, help=f"beam size of {what}; 1 is greedy")


def add_search(parser: argparse.ArgumentParser) -> None:
    """What a search of speech has beside its network."""
    add_lm(parser)
    _add_words(parser)


def add_lm(parser: argparse.ArgumentParser) -> None:
    """A language model, and what it weighs."""
    parser.add_argument(
        "--lm",
        metavar="PATH",
        type=Path,
        help="a language model beside speech: a run of characters or of words, or an ARPA file; with --beam",
    )
    parser.add_argument("--lm-weight", metavar="X", type=float, help="what its logarithms are multiplied with: 0.5")
    parser.add_argument("--lm-bonus", metavar="X", type=float, help="nats that each of its tokens is worth beside: 0")


def _add_words(parser: argparse.ArgumentParser) -> None:
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
        help="the only words that speech may say: the first of each line of a text file, and behind it its "
        "pronunciation where units are phones; with --beam",
    )


def search_options(args: argparse.Namespace) -> dict[str, object]:
    """The options of these that were given."""
    return {name: value for name in OF_SPEECH if (value := getattr(args, name)) is not None}


def _hot_words(text: str) -> dict[str, float]:
    """`recurra=3,Kaldi=2` as words with their nats."""
    try:
        return hot_words(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
