"""A vector for each word of a text, from the words around it.

config     what a config says, before any text is read      task     the verbs
texts      texts as examples, in the order of the file      learning what a piece of text does to the tables
tables     what a report shows                              sizing   what init chooses
glove      the same for counts of pairs of words
"""

from recurra.tasks.word_vectors.config import WordVectorsConfig
from recurra.tasks.word_vectors.task import WordVectorLearning

__all__ = ["WordVectorLearning", "WordVectorsConfig"]
