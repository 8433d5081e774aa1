"""Exports of Label Studio (JSON, and JSON_MIN): a list of tasks with the spans or the choice of an annotation.

Tasks without an annotation, or whose annotation was skipped, are left out; of several annotations the first one is
read. All of that is counted and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from recurra.data.formats.annotated import (
    AnnotatedRows,
    BadAnnotationError,
    Characters,
    Given,
    Row,
    Utf16,
    first_values,
    one_or_all,
    span_of,
    text_in,
)
from recurra.data.formats.format import Format


def read(value: Any, counts: Counter[str]) -> Row | None:
    """A row of a task. Raises BadAnnotationError for what Label Studio does not write, or no tagger can learn from."""
    if not isinstance(value, dict):
        raise BadAnnotationError(f"expected a task with `data` and `annotations`, got {value!r:.60}.")
    if "annotations" not in value:
        return _of_min(value)
    given = value["annotations"]
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise BadAnnotationError(f"annotations: expected a list of objects, got {given!r:.60}.")
    done = [one for one in given if not one.get("was_cancelled")]
    if not done:
        counts["skipped and left out" if given else "without an annotation and left out"] += 1
        return None
    if len(done) > 1:
        counts["with several annotations, of which the first is read"] += 1
    results = done[0].get("result")
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        raise BadAnnotationError(f"result: expected a list of objects, got {results!r:.60}.")
    return _row(_values(results, counts), value.get("data"))


def _values(results: Sequence[Mapping[str, Any]], counts: Counter[str]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for one in results:
        inner = one.get("value")
        if isinstance(inner, dict) and ("choices" in inner or _labels(inner) is not None):
            found.append(inner)
        else:
            counts["results that are neither spans nor choices, and left out"] += 1
    return found


def _row(values: Sequence[Mapping[str, Any]], data: Any) -> Row:
    if not isinstance(data, dict):
        raise BadAnnotationError(f"data: expected an object with a text, got {data!r:.60}.")
    choices = [str(one) for value in values for one in value.get("choices", ())]
    spans = [value for value in values if "choices" not in value]
    text = _text(data, spans)
    label = {"label": one_or_all(choices)} if choices else {}
    return {"text": text, **label, **({} if choices and not spans else {"spans": [_span(one) for one in spans]})}


def _of_min(value: Mapping[str, Any]) -> Row:
    """A task as JSON_MIN has it: the spans stand beside the text."""
    lists = [inner for inner in value.values() if _are_spans(inner)]
    texts = {key: inner for key, inner in value.items() if isinstance(inner, str)}
    spans = lists[0] if lists else []
    text = _text(texts, spans)
    return {"text": text, "spans": [_span(one) for one in spans]}


def _text(data: Mapping[str, Any], spans: Sequence[Mapping[str, Any]]) -> str:
    """The text of a task: `text`, or the only one, or the one in which the spans stand."""
    texts = [one for one in data.values() if isinstance(one, str)]
    if "text" in data or not texts:
        return text_in(data, "text")
    fitting = [one for one in texts if spans and all(_stands_in(one, span) for span in spans)]
    return (fitting or texts)[0]


def _stands_in(text: str, span: Mapping[str, Any]) -> bool:
    """Whether the text of a span is there, however places are counted."""
    if not isinstance(span.get("text"), str):
        return False
    for count in (Characters(text), Utf16(text)):
        with suppress(BadAnnotationError):
            span_of(text, (span.get("start"), span.get("end"), "label", span.get("text")), count)
            return True
    return False


def _span(value: Mapping[str, Any]) -> Given:
    labels = _labels(value) or []
    if "startOffset" in value or isinstance(value.get("start"), str):
        raise BadAnnotationError(
            "a span is counted in the nodes of HTML, or the turns of a dialogue, which no text has. Annotate with the "
            "tag Text."
        )
    if len(labels) != 1:
        raise BadAnnotationError(
            f"the span {value.get('start')}-{value.get('end')} has {len(labels)} labels "
            f"({', '.join(map(str, labels))}), and a token can have one tag."
        )
    return value.get("start"), value.get("end"), labels[0], value.get("text")


def _labels(value: Mapping[str, Any]) -> list[Any] | None:
    """The labels of a span, under `labels` or the name of another kind of them (`hypertextlabels`)."""
    return next((one for key, one in value.items() if key.endswith("labels") and isinstance(one, list)), None)


def _are_spans(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and "start" in one and "end" in one and _labels(one) is not None for one in value)
    )


def _is_own(one: Any) -> bool:
    if not isinstance(one, dict):
        return False
    is_full = isinstance(one.get("annotations"), list) and isinstance(one.get("data"), dict)
    return is_full or any(map(_are_spans, one.values()))


def _takes(path: Path) -> str:
    return "its tasks have annotations as those of Label Studio" if any(map(_is_own, first_values(path))) else ""


LABEL_STUDIO = Format(
    doc="exports of Label Studio (JSON, JSON_MIN): texts with spans or choices",
    suffixes=(),
    open=lambda lines, options: AnnotatedRows(lines, read, options),
    options=("encoding", "offsets"),
    takes=_takes,
    by_line=False,
)
