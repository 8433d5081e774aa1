"""Exports of doccano for spans: `text` with `label: [[start, end, label], ...]`, or with `entities` and `relations`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from recurra.data.formats.annotated import AnnotatedRows, BadAnnotationError, Given, Row, first_values, text_in
from recurra.data.formats.format import Format

LISTS, TEXTS = ("label", "labels"), ("text", "data")
ENTITIES = "entities"


def read(value: Any, counts: Counter[str]) -> Row | None:
    """A row of a text. Raises BadAnnotationError for what doccano does not write."""
    if not isinstance(value, dict):
        raise BadAnnotationError(f"expected an object with `text` and `label`, got {value!r:.60}.")
    text = text_in(value, *TEXTS)
    key = next((key for key in (ENTITIES, *LISTS) if key in value), None)
    spans = value.get(key) if key else []
    if not isinstance(spans, list):
        raise BadAnnotationError(f"{key}: expected a list of spans, got {spans!r:.60}.")
    if value.get("relations"):
        counts["texts have relations, which are left out"] += 1
    return {"text": text, "spans": [_span(one) for one in spans]}


def _span(one: Any) -> Given:
    if isinstance(one, dict):
        return one.get("start_offset"), one.get("end_offset"), one.get("label"), None
    if not isinstance(one, list) or len(one) != 3:
        raise BadAnnotationError(f"expected a span [start, end, label], got {one!r:.60}.")
    return *one, None


def _is_own(one: Any) -> bool:
    if not isinstance(one, dict) or not any(isinstance(one.get(key), str) for key in TEXTS):
        return False
    if any(isinstance(e, dict) and "start_offset" in e for e in _list(one.get(ENTITIES))):
        return True
    spans = [span for key in LISTS for span in _list(one.get(key))]
    return bool(spans) and all(isinstance(span, list) and [*map(type, span)] == [int, int, str] for span in spans)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _takes(path: Path) -> str:
    return "its rows have spans as those of doccano" if any(map(_is_own, first_values(path))) else ""


DOCCANO = Format(
    doc="exports of doccano: texts with spans",
    suffixes=(),
    open=lambda lines, options: AnnotatedRows(lines, read, options),
    options=("encoding", "offsets"),
    takes=_takes,
    by_line=False,
)
