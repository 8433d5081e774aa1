"""Texts in, predictions out: arguments and standard input; lines that people read, and pictures."""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from recurra.base.atomic import replacing
from recurra.base.errors import DataError
from recurra.cli.failures import UsageError
from recurra.cli.heat import heat_lines
from recurra.cli.terminal import one_line, printable, say

if TYPE_CHECKING:
    from recurra.base.contracts import Record

READ_BYTES = 64 << 10
MOST_PICTURES = 20
_ANSWER = ("label", "labels", "output", "answer")
_CONFIDENCE = ("score", "confidence", "probability")

Row = Mapping[str, object]


def from_arguments(
    texts: Iterable[str], field: str, beside: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Record]:
    """One record per text of the command line. beside: other fields, the same for all"""
    from recurra.base.contracts import Origin, Record

    for number, text in enumerate(texts, start=1):
        yield Record({field: text, **beside}, Origin("argument", number))


def fields_beside(given: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """Fields as `--with NAME=TEXT` has them. names: of all that a run reads, the one first that TEXT fills

    Raises UsageError for other names.
    """
    found = {}
    for one in given:
        name, is_there, text = one.partition("=")
        if not is_there or name not in names[1:]:
            others = (
                f"expected {' or '.join(names[1:])}, as in {names[1]}=..." if names[1:] else "this run reads TEXT alone"
            )
            raise UsageError(f"--with {one[:40]}: {others}.")
        found[name] = text
    return found


def from_standard_input(field: str, stream: BinaryIO | None = None) -> Iterator[list[Record]]:
    """One record per line, in groups: all lines that have come so far.

    So who writes a line and waits for its answer gets it, and a long file is answered in large batches.
    Raises DataError for a line that no data file could have, once the lines before it were given.
    """
    from recurra.base.contracts import Origin, Record
    from recurra.data.formats.lines import Lines

    number = 0
    for part in _lines_at_hand(stream or sys.stdin.buffer):
        lines = Lines(io.BytesIO(part), "standard input", number)
        group: list[Record] = []
        try:
            for line in lines:
                group.append(Record({field: line.text}, Origin("standard input", line.number)))
        except DataError:
            yield group
            raise
        number = lines.number
        yield group


def _lines_at_hand(source: Any) -> Iterator[bytes]:
    """Whole lines, as many as each read gives; the last one may lack its end, or be longer than a line may be."""
    from recurra.data.formats.lines import MAX_LINE_BYTES

    begun: list[bytes] = []  # of a line that has not ended
    size = 0
    while size <= MAX_LINE_BYTES and (more := source.read1(READ_BYTES)):
        lines, end, rest = more.rpartition(b"\n")
        if end:
            yield b"".join([*begun, lines, end])
            begun, size = [], 0
        begun.append(rest)
        size += len(rest)
    if size:
        yield b"".join(begun)


def readable(row: Row) -> str:
    """`spam<tab>97.3 %<tab>the text`: answer, confidence, then the other single values; one line, whatever the data.

    Below it, where they were asked for: further answers, and what each token of the answer looked at. Other maps and
    lists (all probabilities) are left to --json. Spans stand below their text, each on a line; tokens with tags are
    `word/TAG word/TAG`. A note stands where the confidence would, or at the end.
    """
    if "perplexity" in row:
        return _how_probable(row)
    if isinstance(stamps := row.get("time"), list):
        return _steps(row, stamps)
    if isinstance(spans := row.get("spans"), list):
        head = "\t".join([one_line(str(row["text"])), *_noted(row.get("note"))])
        return "\n".join([head, *map(_span, spans)])
    if isinstance(tokens := row.get("tokens"), list):
        tagged = " ".join(f"{one_line(str(one['text']))}/{one_line(str(one['label']))}" for one in tokens)
        return "\t".join([tagged, *_noted(row.get("note"))])
    values = dict(row)
    note = values.pop("note", None)
    answer = next((values.pop(name) for name in _ANSWER if name in values), None)
    if isinstance(again := values.pop("reconstruction", None), dict):
        error = values.pop("error", None)
        single = {name: number for name, number in again.items() if isinstance(number, float)}
        values["numbers"] = ({} if error is None else {"error": error}) | single
    if isinstance(numbers := values.get("numbers"), dict):
        named = [f"{one_line(name)} {_plainly(number)}" for name, number in numbers.items()]
        answer = named if len(named) > 1 else [_plainly(number) for number in numbers.values()]
    confidence = next((values.pop(name) for name in _CONFIDENCE if name in values), None)
    parts = [_words(answer)] if answer is not None else []
    parts += [f"{100 * confidence:.1f} %"] if isinstance(confidence, float) else []
    parts += _noted(note)
    parts += [_plainly(value) for value in values.values() if isinstance(value, str | int | float)]
    more = [*_further(values.get("n_best")), *_guessed(values.get("masks")), *_looked(values.get("attention"))]
    return "\n".join(["\t".join(parts), *more])


def _steps(row: Row, stamps: list[Any]) -> str:
    """The name of a series, and below it each stamp with its numbers."""
    columns = {name: values for name, values in row.items() if isinstance(values, list)}
    lines = ["\t".join(columns)]
    for cells in zip(*columns.values(), strict=True):
        lines.append("\t".join(_plainly(cell) for cell in cells))
    return "\n".join(["\t".join([one_line(str(row["series"])), *_noted(row.get("note"))]), *map(printable, lines)])


def _noted(note: object) -> list[str]:
    return [] if note is None else [one_line(str(note))]


def _span(span: Mapping[str, Any]) -> str:
    """`  Berlin<tab>LOC<tab>98.2 %<tab>7-13`: what, which label, how sure, and its characters."""
    sure = [f"{100 * span['score']:.1f} %"] if "score" in span else []
    return "\t".join([f"  {one_line(span['text'])}", one_line(span["label"]), *sure, f"{span['start']}-{span['end']}"])


def _how_probable(row: Row) -> str:
    """`-45.8 nats<tab>perplexity 9.87<tab>20 tokens<tab>the text`; below it each token with its probability."""
    values: dict[str, Any] = dict(row)
    head = f"{values['log_prob']:.1f} nats\tperplexity {values['perplexity']:.4g}\t{values['num_tokens']} tokens"
    lines = [
        f"  {100 * math.exp(one['log_prob']):5.1f} %  {one['token'].replace(chr(10), '(line end)') or '(end)'}"
        for one in values.get("tokens", ())
    ]
    first = "\t".join([head, one_line(values["text"]), *_noted(values.get("note"))])
    return "\n".join([first, *map(printable, lines)])


def _further(answers: object) -> Iterator[str]:
    """The second answer, the third, ...; the first one stands above."""
    for number, one in enumerate(answers if isinstance(answers, list) else [], start=1):
        if number > 1:
            note = {"note": "no answer"} if one.get("answer") == "" else {}
            yield f"  {number}. {readable({name: one[name] for name in (*_ANSWER, 'score') if name in one} | note)}"


def _guessed(masks: object) -> Iterator[str]:
    """The best pieces for each place that was left open."""
    for number, guesses in enumerate(masks if isinstance(masks, list) else [], start=1):
        told = (f"{one_line(one['piece'])} {100 * one['probability']:.1f} %" for one in guesses)
        yield f"  {number}. {', '.join(told)}"


def _looked(attention: object) -> Iterator[str]:
    if isinstance(attention, Mapping):
        yield from heat_lines(attention["rows"], attention["columns"], attention["weights"])


def _plainly(value: str | int | float) -> str:
    """A single value in one line; of a number as many digits as a person reads, --json has them all."""
    return f"{value:.5g}" if isinstance(value, float) else one_line(str(value))


def _words(label: object) -> str:
    return ", ".join(one_line(str(part)) for part in label) if isinstance(label, list | tuple) else one_line(str(label))


def write_png(path: Path, rows: Iterable[Row]) -> int:
    """The attention of each answer, one picture under the other; whole or not at all. Returns the number of rows.

    Raises DataError for more than 20 rows, UsageError where matplotlib is not installed.
    """
    from recurra.report import HeatMap, heat_png

    found = list(islice(rows, MOST_PICTURES + 1))
    if len(found) > MOST_PICTURES:
        raise DataError(f"{path}: more than {MOST_PICTURES} answers are too many for one picture; use .jsonl.")
    maps = [_heat_map(HeatMap, row) for row in found]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = heat_png(maps)
        except ModuleNotFoundError:
            raise UsageError(f'--output {path}: matplotlib is not installed; pip install "recurra[plot]".') from None
    if any("Glyph" in str(warning.message) for warning in caught):
        say(f"{path}: some tokens hold characters that matplotlib's font lacks; --json has them.")
    with replacing(path) as file:
        file.write(content)
    return len(found)


def _heat_map(make: Callable[..., Any], row: Row) -> Any:
    attention: Any = row["attention"]
    weights = tuple(map(tuple, attention["weights"]))
    # The answer first: behind a text that is read from the right, its digits would turn round.
    title = f"{row['output']} ← {row['text']}"
    return make(one_line(title), tuple(attention["rows"]), tuple(attention["columns"]), weights)
