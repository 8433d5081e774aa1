"""A few texts of a run's own dev or test data, for who wants to try the run: examples.json in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.api.places import RunFolder, read_json
from recurra.base.atomic import write_text
from recurra.base.errors import RunError
from recurra.tasks import Generates, Task

MOST, LONGEST = 3, 300
# Of a text that is to be continued, so that there is something left to write.
FIRST_WORDS = 6


def sample_texts(task: Task, answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Up to MOST different texts, spread over the answers; of a task that writes on, how they begin.

    A text of more than LONGEST characters is taken only where all are longer, and cut between words.
    """
    texts = [str(row.get(task.input_key, "")) for row in answers]
    if isinstance(task, Generates):
        texts = [" ".join(text.split()[:FIRST_WORDS]) for text in texts]
    known = list(dict.fromkeys(text for text in texts if text.strip()))
    fitting = [text for text in known if len(text) <= LONGEST] or [_cut(text) for text in known[:MOST]]
    step = max(1, len(fitting) // MOST)
    return fitting[::step][:MOST]


def _cut(text: str) -> str:
    return text[:LONGEST].rpartition(" ")[0] or text[:LONGEST]


def write_samples(folder: RunFolder, texts: Sequence[str]) -> None:
    """Write them, whole or not at all."""
    write_text(folder.examples, json.dumps({"texts": list(texts)}, ensure_ascii=True) + "\n")


def read_samples(folder: RunFolder) -> tuple[str, ...]:
    """The texts; none where a run has no such file. Raises RunError for a file that is not as recurra writes it."""
    if not folder.examples.is_file():
        return ()
    found = read_json(folder.examples)
    texts = found.get("texts") if isinstance(found, Mapping) else None
    if not (isinstance(texts, list) and len(texts) <= MOST and all(_is_sample(text) for text in texts)):
        raise RunError(
            f"{folder.examples}: damaged: expected at most {MOST} texts of at most {LONGEST} characters. "
            "Take the file away, or train again."
        )
    return tuple(texts)


def _is_sample(text: object) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST
