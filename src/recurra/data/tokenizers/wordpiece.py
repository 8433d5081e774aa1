"""BERT's word pieces, learned from the training texts: a vocabulary with [CLS], [SEP], [MASK], as published ones have.

Cutting is that of Devlin et al. 2019, arXiv:1810.04805: texts are cleaned, in lower case without accents or as they
are, cut at spaces and around signs, and each word into the longest pieces that are known. Pieces are learned by merges
of pairs, the most frequent first (Sennrich et al. 2016, arXiv:1508.07909), as Hugging Face's trainer does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

from recurra.base.errors import DataError
from recurra.base.option import Opt
from recurra.data.tokenizers.published import MARKS, from_words
from recurra.data.tokenizers.subwords import MAX_WORD, learned_wordpieces
from recurra.data.tokenizers.tokenizer import Tokenizer

# In the order of BERT's own vocabulary.
_MARKS = tuple(MARKS[name][0] for name in ("pad", "unknown", "begin", "separator", "mask"))
# Single characters with a piece of their own, the most frequent ones: a corpus has a thousand foreign signs once each.
MOST_CHARACTERS = 1000


class WordPiece:
    """Learn BERT's word pieces from texts, with [PAD], [UNK], [CLS], [SEP] and [MASK]."""

    def __init__(
        self,
        *,
        vocab_size: Annotated[int, Opt("pieces at most, marks and single characters among them", ge=16)] = 30_000,
        lowercase: Annotated[bool, Opt("read texts in lower case and without accents, as BERT uncased")] = True,
    ) -> None:
        self._size, self._lowercase = vocab_size, lowercase

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the pieces; the same texts in any order give the same. Raises DataError where there is no word."""
        counts = self._counted(texts)
        if not counts:
            raise DataError("wordpiece: the training texts hold no word to learn from.")
        room = self._size - len(_MARKS)
        letters = Counter[str]()
        for word, count in counts.items():
            for letter in word:
                letters[letter] += count
        # A letter has two pieces, at the start of a word and inside.
        most = min(MOST_CHARACTERS, max(room // 3, 8))
        kept = {one for one, _ in sorted(letters.items(), key=lambda pair: (-pair[1], pair[0]))[:most]}
        known = Counter({word: count for word, count in counts.items() if kept.issuperset(word)})
        learned = learned_wordpieces(known, room)
        return from_words([*_MARKS, *(piece for piece in learned if piece not in _MARKS)], self._lowercase)

    def _counted(self, texts: Iterable[str]) -> Mapping[str, int]:
        """How often each word is seen, as the pieces' own rules cut it; very long ones are left out."""
        cut = from_words(_MARKS, self._lowercase)
        chunks = Counter[str]()
        for text in texts:
            chunks.update(text.split())
        counts = Counter[str]()
        for chunk, count in chunks.items():
            for word in cut.words(chunk):
                if len(word) <= MAX_WORD:
                    counts[word] += count
        return counts
