"""Training data of spaCy as JSON: `[text, {"entities": [[start, end, label], ...]}]`, or with `cats`.

Its binary form (DocBin, `.spacy`) needs spaCy to be read, and is refused with the way to convert it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.annotated import AnnotatedRows, BadAnnotationError, Given, Row, first_values, one_or_all
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import Lines, open_lines

DOC_BIN = ".spacy"
# A category holds from here on.
HOLDS = 0.5


def read(value: Any, counts: Counter[str]) -> Row | None:
    """A row of an example. Raises BadAnnotationError for what spaCy does not take."""
    if not _is_own(value):
        raise BadAnnotationError(f'expected [text, {{"entities": [[start, end, label], ...]}}], got {value!r:.60}.')
    text, known = value
    if "entities" not in known:
        return {"text": text, "label": one_or_all([name for name, score in known["cats"].items() if _holds(score)])}
    if not isinstance(known["entities"], list):
        raise BadAnnotationError(f"entities: expected a list of spans, got {known['entities']!r:.60}.")
    return {"text": text, "spans": [_span(one) for one in known["entities"]]}


def _span(one: Any) -> Given:
    if not isinstance(one, list) or len(one) < 3:
        raise BadAnnotationError(f"expected a span [start, end, label], got {one!r:.60}.")
    return *one[:3], None  # behind them may stand an identifier


def _holds(score: Any) -> bool:
    return isinstance(score, int | float) and score >= HOLDS


def _is_own(one: Any) -> bool:
    is_pair = isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], dict)
    return is_pair and ("entities" in one[1] or isinstance(one[1].get("cats"), dict))


def _takes(path: Path) -> str:
    return "its rows are pairs of a text and `entities`, as for spaCy" if any(map(_is_own, first_values(path))) else ""


@contextmanager
def _opened(path: Path, options: ReadOptions) -> Iterator[Lines]:
    if path.suffix.lower() == DOC_BIN:
        raise DataError(
            f"{path}: is a DocBin, which only spaCy reads. With spaCy, write for each doc of "
            "DocBin().from_disk(path).get_docs(nlp.vocab) a line of JSON: "
            '{"text": doc.text, "spans": [[e.start_char, e.end_char, e.label_] for e in doc.ents]}.'
        )
    with open_lines(path, encoding=options.encoding) as lines:
        yield lines


SPACY = Format(
    doc="training data of spaCy as JSON: pairs of a text and its entities or categories",
    suffixes=(DOC_BIN,),
    open=lambda lines, options: AnnotatedRows(lines, read, options),
    options=("encoding", "offsets"),
    opened=_opened,
    takes=_takes,
    by_line=False,
)
