"""The topics of Python's language reference: split by text, no paragraph twice, whatever Python this is."""

from __future__ import annotations

from recurra.data.embedded import EMBEDDED


def test_the_topics_are_split_by_text_and_no_paragraph_stands_twice() -> None:
    topics = EMBEDDED["topics"]
    texts = {split: [record.fields["text"] for record in topics.records(split)] for split in topics.splits}
    sizes = {split: sum(map(len, some)) for split, some in texts.items()}
    whole = sum(sizes.values())
    assert whole > 200_000
    for split in ("dev", "test"):
        assert 0.05 * whole < sizes[split] <= 0.1 * whole
    paragraphs = [p for some in texts.values() for text in some for p in text.split("\n\n")]
    assert len(paragraphs) == len(set(paragraphs))
    assert {split: topics.size(split) for split in topics.splits} == {k: len(some) for k, some in texts.items()}


def test_topics_that_everybody_can_look_up_are_there() -> None:
    from pydoc_data.topics import topics

    rows = {r.fields["topic"]: r.fields["text"] for split in ("train", "dev", "test")
            for r in EMBEDDED["topics"].records(split)}  # fmt: skip
    assert {"lambda", "while", "yield"} <= rows.keys() <= topics.keys()
    assert rows["lambda"].splitlines()[0] == topics["lambda"].splitlines()[0]
