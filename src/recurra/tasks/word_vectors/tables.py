"""What a report shows of word vectors: the neighbours of frequent words."""

from __future__ import annotations

from recurra.base.contracts import Table
from recurra.data.word_vectors import WordVectors

# Words of the table, from the most frequent on, and neighbours of each. Signs alone say little.
SHOWN, NEAR, LOOKED_AT = 20, 6, 200


def neighbours(vectors: WordVectors) -> Table:
    """Frequent words that have letters, every so manieth of the first 200, with the words nearest to them."""
    words = [word for word in vectors.words[:LOOKED_AT] if any(map(str.isalpha, word))]
    shown = words[:: max(len(words) // SHOWN, 1)][:SHOWN]
    rows = tuple(
        (word, ", ".join(f"{near.word} {near.score:.2f}" for near in vectors.similar(word, top=NEAR))) for word in shown
    )
    return Table("Neighbours of frequent words", ("word", "nearest, by cosine"), rows)
