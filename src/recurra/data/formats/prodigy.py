"""Exports of Prodigy (`db-out`): a line for each answer, with `text`, `spans` or `label`, and `answer`.

What was rejected or ignored is left out, which is counted and said.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from recurra.data.formats.annotated import (
    AnnotatedRows,
    BadAnnotationError,
    Row,
    first_values,
    one_or_all,
    text_in,
)
from recurra.data.formats.format import Format

ANSWERS = ("accept", "reject", "ignore")
LEFT_OUT = {"reject": "rejected and left out", "ignore": "ignored and left out"}


def read(value: Any, counts: Counter[str]) -> Row | None:
    """A row of an answer. Raises BadAnnotationError for what Prodigy does not write."""
    if not isinstance(value, dict):
        raise BadAnnotationError(f"expected an object with `text` and `spans`, got {value!r:.60}.")
    answer = value.get("answer", "accept")
    if answer not in ANSWERS:
        raise BadAnnotationError(f"answer: expected one of {', '.join(ANSWERS)}, got {answer!r:.40}.")
    if answer != "accept":
        counts[LEFT_OUT[answer]] += 1
        return None
    text = text_in(value, "text")
    if isinstance(value.get("accept"), list):  # of the interface `choice`
        return {"text": text, "label": one_or_all([str(one) for one in value["accept"]])}
    if isinstance(value.get("label"), str) and "spans" not in value:
        return {"text": text, "label": value["label"]}
    spans = value.get("spans", [])
    if not isinstance(spans, list) or not all(isinstance(one, dict) for one in spans):
        raise BadAnnotationError(f"spans: expected a list of objects, got {spans!r:.60}.")
    found = [(one.get("start"), one.get("end"), one.get("label"), one.get("text")) for one in spans]
    return {"text": text, "spans": found}


def _takes(path: Path) -> str:
    own = ("spans", "label", "accept", "_task_hash", "_input_hash")
    is_own = any(
        isinstance(one, dict) and one.get("answer") in ANSWERS and "text" in one and any(key in one for key in own)
        for one in first_values(path)
    )
    return "its rows have `answer: accept`, as those of Prodigy" if is_own else ""


PRODIGY = Format(
    doc="exports of Prodigy: texts with spans or labels; what was rejected or ignored is left out",
    suffixes=(),
    open=lambda lines, options: AnnotatedRows(lines, read, options),
    options=("encoding", "offsets"),
    takes=_takes,
    by_line=False,
)
