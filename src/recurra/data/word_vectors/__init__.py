"""Vectors of words: read and written in the forms of word2vec, GloVe and fastText; neighbours and analogies.

table       words with their vectors: which are near, which word is to a what b is to c
reading     a file to a table, whatever its form; says what it left out
text        a word a line with its numbers: GloVe, and word2vec's text form, which fastText's .vec is
binary      word2vec's binary form          subwords    fastText's .bin, with vectors for words it has never seen
writing     a table to a file, whole or not at all      planes  vectors as points of a plane
groups      words in groups, by k-means
questions   files of analogies and of pairs with people's marks
"""

from recurra.data.word_vectors.reading import FORMS, read_vectors
from recurra.data.word_vectors.subwords import NGrams, Subwords
from recurra.data.word_vectors.table import Neighbour, WordVectors
from recurra.data.word_vectors.writing import write_vectors

__all__ = ["FORMS", "NGrams", "Neighbour", "Subwords", "WordVectors", "read_vectors", "write_vectors"]
