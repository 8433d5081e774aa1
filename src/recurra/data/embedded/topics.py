"""What comes next? The language reference of Python, as the interpreter's own `help()` holds it.

From `pydoc_data.topics` of the standard library, so it is as long, and as new, as the Python that runs. Topics share
paragraphs; each is kept where it comes first, so that no paragraph of a test topic is in training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.splits import DEV, NAMES, TEST, TRAIN

# Shares of the text for dev and for test, at most.
SHARE = 0.1


@cache
def _splits() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """(topic, text) of each split: topics in the order of a digest, to test and dev while they have room."""
    topics = _distinct()
    room = SHARE * sum(map(len, topics.values()))
    sizes = {TEST: 0, DEV: 0}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in NAMES}
    for topic in sorted(topics, key=lambda name: hashlib.sha256(name.encode()).digest()):
        split = next((name for name, size in sizes.items() if size + len(topics[topic]) <= room), TRAIN)
        if split in sizes:
            sizes[split] += len(topics[topic])
        found[split].append((topic, topics[topic]))
    return {name: tuple(sorted(rows)) for name, rows in found.items()}


def _distinct() -> dict[str, str]:
    """The text of each topic without the paragraphs that an earlier one has; those that are left with none are out."""
    from pydoc_data.topics import topics

    known: set[str] = set()
    texts = {}
    for topic in sorted(topics):
        paragraphs = []
        for paragraph in topics[topic].strip("\n").split("\n\n"):
            if paragraph.strip() and paragraph not in known:
                paragraphs.append(paragraph)
                known.add(paragraph)
        if paragraphs:
            texts[topic] = "\n\n".join(paragraphs)
    return texts


def _load(split: str) -> Iterator[Record]:
    for number, (topic, text) in enumerate(_splits()[split], start=1):
        yield Record({"topic": topic, "text": text}, Origin(f"topics/{split}", number))


TOPICS_SET = EmbeddedSet(
    description="what comes next? the language reference of Python, by topic, from the standard library",
    licence="Python Software Foundation License",
    columns=("topic", "text"),
    splits=NAMES,
    load=_load,
    size=lambda split: len(_splits()[split]),
)
