"""From a batch to the numbers that each step reads.

tokens                a vector for each token
words_and_characters  a vector for each word, beside one made from its letters
characters            a vector for each word, from its letters alone
word_pieces           pieces of words with positions and segments, as BERT has them
vectors               numbers as they come, at each step
frames                numbers at each step under strided convolutions, which make fewer steps of them
bag                   the n-grams of a text, counted and summed: one vector
images                all pixels of a picture as one step      patches  its patches, each a step
vector, label         one vector, or one label, for the whole sequence that is written from it
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.contract import Inputs
from recurra.models.inputs.bag import BagOfNGrams
from recurra.models.inputs.characters import Characters
from recurra.models.inputs.frames import Frames
from recurra.models.inputs.images import Images
from recurra.models.inputs.label import Label
from recurra.models.inputs.patches import Patches
from recurra.models.inputs.tokens import Tokens
from recurra.models.inputs.vector import Vector
from recurra.models.inputs.vectors import Vectors
from recurra.models.inputs.word_pieces import WordPieces
from recurra.models.inputs.words_and_characters import WordsAndCharacters

INPUTS: Registry[Callable[..., Inputs]] = Registry("inputs", "recurra.inputs")
INPUTS.add("tokens", Tokens)
INPUTS.add("words_and_characters", WordsAndCharacters)
INPUTS.add("characters", Characters)
INPUTS.add("word_pieces", WordPieces)
INPUTS.add("vectors", Vectors)
INPUTS.add("frames", Frames)
INPUTS.add("bag", BagOfNGrams)
INPUTS.add("images", Images)
INPUTS.add("patches", Patches)
INPUTS.add("vector", Vector)
INPUTS.add("label", Label)

__all__ = [
    "INPUTS",
    "BagOfNGrams",
    "Characters",
    "Frames",
    "Images",
    "Label",
    "Patches",
    "Tokens",
    "Vector",
    "Vectors",
    "WordPieces",
    "WordsAndCharacters",
]
