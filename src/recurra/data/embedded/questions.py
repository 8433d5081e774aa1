"""Which part of the language reference of Python answers this? Sentences as questions, paragraphs as answers.

From `pydoc_data.topics` of the standard library. Of a paragraph of three sentences and more one is kept out of its
answer, in one of five for dev and in another for test: it asks, and no answer has it word for word. The other
sentences, and the names of sections with what stands there, ask in training.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.splits import DEV, NAMES, TEST, TRAIN

# Characters of a paragraph, and of a sentence, that says enough to be asked about.
SHORTEST, SENTENCE = 120, 30
# One paragraph in so many is asked about in dev, and another one in test.
EACH = 5
_STOP = re.compile(r"(?<=[.?!])\s+(?=[A-Z\"'(\[])")
_RULE = re.compile(r"[*=\-~^]{3,}")
Row = tuple[str, str, str]


@cache
def _splits() -> Mapping[str, tuple[Row, ...]]:
    """(section, question, answer) of each split."""
    found: dict[str, list[Row]] = {name: [] for name in NAMES}
    for section, text in _paragraphs():
        sentences = [one for one in _STOP.split(text) if len(one) >= SENTENCE]
        split = _split(text) if len(sentences) >= 3 else TRAIN
        answer = text
        if split != TRAIN:
            kept_out = sentences.pop(int(hashlib.sha256(text.encode()).hexdigest()[8:12], 16) % len(sentences))
            answer = text.replace(kept_out, "").strip()
            found[split].append((section, kept_out, answer))
        asked = dict.fromkeys([f"What about {section.lower()}?", *sentences])
        found[TRAIN] += [(section, question, answer) for question in asked]
    return {name: tuple(rows) for name, rows in found.items()}


def _split(text: str) -> str:
    place = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % EACH
    return {0: TEST, 1: DEV}.get(place, TRAIN)


def _paragraphs() -> Iterator[tuple[str, str]]:
    """Each paragraph of text once, in one line, with the title that stands above it."""
    from pydoc_data.topics import topics

    known: set[str] = set()
    for topic in sorted(topics):
        title = topic
        for paragraph in topics[topic].strip("\n").split("\n\n"):
            lines = paragraph.strip("\n").split("\n")
            if len(lines) == 2 and _RULE.fullmatch(lines[1].strip()):
                title = lines[0].strip().replace('"', "")
                continue
            text = " ".join(" ".join(lines).split())
            # Grammar and programs are indented.
            if len(text) >= SHORTEST and not lines[0].startswith("   ") and text not in known:
                known.add(text)
                yield title, text


def _load(split: str) -> Iterator[Record]:
    for number, (section, question, answer) in enumerate(_splits()[split], start=1):
        yield Record({"section": section, "question": question, "answer": answer}, Origin(f"questions/{split}", number))


QUESTIONS_SET = EmbeddedSet(
    description="which part of the language reference of Python answers this? sentences and paragraphs, by section",
    licence="Python Software Foundation License",
    columns=("section", "question", "answer"),
    splits=NAMES,
    load=_load,
    size=lambda split: len(_splits()[split]),
)
