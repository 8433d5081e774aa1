"""From a text to tokens, and from tokens to numbers.

words        runs of letters, single symbols
spaces       what stands between white space
characters   grapheme clusters
kmers        runs of k letters
subwords     learnt pieces: bpe, unigram, wordpiece
published    pieces of a folder of published weights
wordpiece    the same pieces, learned
vocabulary   tokens to numbers and back
encoded      texts as numbers, a few bytes a token
blocks       many texts cut at once
workers      the same in other processes
cutter       a tokenizer, and what becomes of line breaks
cutting      tokens that know their place in a text
joining      tokens as people write them: which signs stand close
learned      the same, as a file cuts its own text
cleaned      tokenizers that are a rule after cleaning
cleaning     normal form and lower case, shared by all
tokenizer    the contract, and the way back from JSON

A new tokenizer is one file, a line for its constructor and one for its loader below.
"""

from __future__ import annotations

from recurra.data.tokenizers.characters import Characters
from recurra.data.tokenizers.cutter import Cutter, lines_of
from recurra.data.tokenizers.cutting import CUTTERS, CutterName, Place
from recurra.data.tokenizers.encoded import Corpus, Encoded, encode, encoded_block, way_of
from recurra.data.tokenizers.joining import Joining, joining_from_json
from recurra.data.tokenizers.kmers import Kmers, kmers_from_json
from recurra.data.tokenizers.published import PAIR, Pieces, Pretrained, pieces_from_json, read_pieces, refuse_limits
from recurra.data.tokenizers.spaces import Spaces
from recurra.data.tokenizers.subwords import Subwords, subwords_from_json
from recurra.data.tokenizers.tokenizer import LOADERS, TOKENIZERS, Tokenizer, TokenizerPlan, tokenizer_from_json
from recurra.data.tokenizers.vocabulary import BOS, EOS, PAD, UNK, Vocabulary, VocabularyPlan, vocabulary_from_json
from recurra.data.tokenizers.wordpiece import WordPiece
from recurra.data.tokenizers.words import Words

__all__ = [
    "BOS",
    "CUTTERS",
    "EOS",
    "PAD",
    "PAIR",
    "TOKENIZERS",
    "UNK",
    "Corpus",
    "Cutter",
    "CutterName",
    "Encoded",
    "Joining",
    "Pieces",
    "Place",
    "Tokenizer",
    "TokenizerPlan",
    "Vocabulary",
    "VocabularyPlan",
    "encode",
    "encoded_block",
    "joining_from_json",
    "lines_of",
    "read_pieces",
    "refuse_limits",
    "tokenizer_from_json",
    "vocabulary_from_json",
    "way_of",
]

TOKENIZERS.add("words", Words)
TOKENIZERS.add("characters", Characters)
TOKENIZERS.add("subwords", Subwords)
TOKENIZERS.add("spaces", Spaces)
TOKENIZERS.add("kmers", Kmers)
TOKENIZERS.add("pretrained", Pretrained)
TOKENIZERS.add("wordpiece", WordPiece)

LOADERS.add("words", Words.from_json)
LOADERS.add("characters", Characters.from_json)
LOADERS.add("subwords", subwords_from_json)
LOADERS.add("spaces", Spaces.from_json)
LOADERS.add("kmers", kmers_from_json)
LOADERS.add("pretrained", pieces_from_json)
