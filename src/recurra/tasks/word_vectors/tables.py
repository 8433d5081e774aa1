"""What a report shows of word vectors: the neighbours of frequent words, and frequent words in groups."""

from __future__ import annotations

from recurra.base.contracts import Table
from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.groups import grouped

# Words of the table, from the most frequent on, and neighbours of each. Signs alone say little.
SHOWN, NEAR, LOOKED_AT = 20, 6, 200
# Groups, of the first so many words, and words of each that are shown.
GROUPS, GROUPED, OF_EACH = 15, 1000, 12


def neighbours(vectors: WordVectors) -> Table:
    """Frequent words that have letters, every so manieth of the first 200, with the words nearest to them."""
    words = [word for word in vectors.words[:LOOKED_AT] if any(map(str.isalpha, word))]
    shown = words[:: max(len(words) // SHOWN, 1)][:SHOWN]
    rows = tuple(
        (word, ", ".join(f"{near.word} {near.score:.2f}" for near in vectors.similar(word, top=NEAR))) for word in shown
    )
    return Table("Neighbours of frequent words", ("word", "nearest, by cosine"), rows)


def groups(vectors: WordVectors) -> Table:
    """The first 1,000 words in 15 groups."""
    rows = tuple(
        (group.name, len(group.words), ", ".join(group.words[1 : OF_EACH + 1]))
        for group in grouped(vectors, GROUPS, among=GROUPED)
    )
    return Table("Groups of frequent words", ("group", "words", "nearest to its middle"), rows)
