"""Rows that come out of a run's codes: drawn, or between two others; and rows whose missing numbers are filled in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.api.answers import Source, source_for
from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, Row, are_rows, path_of, records_of
from recurra.api.inference import device_of
from recurra.base.contracts import Listener, Record
from recurra.base.errors import ConfigError, DataError
from recurra.tasks import Coder, Codes, CodeWriter, WritesFromCodes

Floats = NDArray[np.float32]
InterpolationPath = Literal["linear", "spherical"]
PATHS: tuple[InterpolationPath, ...] = ("linear", "spherical")
# Rows that one call makes or reads, those of a way between two, and steps of one that is drawn.
MOST_ROWS, STEPS, LONGEST = 100_000, 9, 100_000
# Numbers of all rows that one call says: 512 MiB as arrays, and about 4 GiB as lists.
MOST_SAID = 1 << 27
# Between directions that are nearer than this a great circle is a straight line; opposite ones have no single one.
NEAR = 1e-6


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Rows that a run has said. rows: by column, in the units of the data      codes: (N, Z), where they were made

    pictures: (N, H, W) grey, where rows are pictures      filled: of each row, numbers that were filled in
    errors: mean squared errors of what was hidden, by who filled it in, in scaled units
    """

    rows: list[dict[str, Any]]
    codes: Floats | None = None
    pictures: NDArray[np.uint8] | None = None
    filled: tuple[int, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)


def makes_rows(run: OpenRun) -> bool:
    """Whether a run turns codes into rows, or into texts."""
    return isinstance(run.task, WritesFromCodes)


def writer_of(run: OpenRun, device: str) -> CodeWriter:
    """What makes rows or texts from codes. Raises ConfigError for a run of another kind."""
    if not isinstance(run.task, WritesFromCodes):
        raise _no_codes(run)
    return run.task.code_writer(run.model, device_of(device))


def coder_of(run: OpenRun, device: str) -> Coder:
    """What turns rows into codes. Raises ConfigError for a run of another kind."""
    if not isinstance(run.task, Codes):
        raise _no_codes(run)
    return run.task.coder(run.model, device_of(device))


def _no_codes(run: OpenRun) -> ConfigError:
    name = run.settings.tree["task"]["name"]
    what = "codes of rows of numbers" if makes_rows(run) else "codes"
    return ConfigError(f"{run.folder.path}: is a run of task {name}, which has no {what}; expected an autoencoder's.")


def records_for(run: OpenRun, given: AnyPath | Source | Iterable[Row], name: str = "rows") -> list[Record]:
    """Records of a file, as the run's config reads it, or of rows. Raises DataError where there is none."""
    if isinstance(given, Source):
        found = list(given.records)
    elif are_rows(given):
        found = list(records_of(given, run.settings.plan.inputs[0].name))
    else:
        found = list(source_for(run, path_of(given, name)).records)
    if not found:
        raise DataError(f"{name}: holds no row.")
    if len(found) > MOST_ROWS:
        raise DataError(f"{name}: holds {len(found):,} rows, expected at most {MOST_ROWS:,}; give it in parts.")
    return found


@in_float32
def generate_rows(
    run: AnyPath | OpenRun,
    *,
    num: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    length: int | None = None,
    between: Sequence[Row] | None = None,
    steps: int | None = None,
    path: InterpolationPath | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    most_steps: int | None = None,
) -> CodedRows:
    """Rows from codes: `num` of them drawn, or a way from one row to another. Of each number what is expected; of texts
    the tokens that are the most probable, one after another.

    num: rows to draw (1)      temperature: deviation of the codes (1)      seed: the same one, the same rows (0)
    length: steps of a series that is drawn (those of the longest training row), tokens of a text at most
    between: two rows; their codes, and codes between them: `steps` in all (9), both ends among them
    path: linear, a straight line (the default); spherical, a great circle, so that codes keep their length, as those of
      N(0, 1) have about the same (White 2016, arXiv:1609.04468)
    most_steps: of all rows together, for who answers others
    Raises ConfigError for codes that are no distribution, unless `between` is given; for options without effect;
    DataError for more than `most_steps`, or MOST_SAID numbers.
    """
    trained = opened(run, cells)
    coder = writer_of(trained, device)
    if between is None:
        _refuse_given("has no effect without two rows to go between", steps=steps, path=path)
        if coder.steps == 1:
            _refuse_given("is of series, and rows of this run are one vector", length=length)
        rows = _number(num, "num", 1, MOST_ROWS)
        lengths = [_number(length, "length", coder.steps, LONGEST)] * rows
        refuse_large(lengths, coder.width, name="num, length", most_steps=most_steps)
        codes = coder.drawn(rows, _temperature(temperature), _seed(seed))
    else:
        drawing = {"num": num, "temperature": temperature, "seed": seed, "length": length}
        _refuse_given("is of rows that are drawn, not of those between two", **drawing)
        records = list(records_of(between, trained.settings.plan.inputs[0].name))
        if len(records) != 2:
            raise ConfigError(f"between: expected two rows, got {len(records)}.")
        ends = examples_for(trained, records)
        number = _number(steps, "steps", STEPS, MOST_ROWS, least=2)
        lengths = coder.between(ends[0].length, ends[1].length, number)
        refuse_large(lengths, coder.width, name="between, steps", most_steps=most_steps)
        first, last = coder.codes(ends)
        codes = _way(first, last, number, path or "linear")
    values = coder.values(codes, lengths)
    return CodedRows(coder.by_column(values), codes, coder.pictures(values))


@in_float32
def inpaint(
    run: AnyPath | OpenRun,
    rows: AnyPath | Source | Iterable[Row],
    *,
    lines: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> CodedRows:
    """Fill in the numbers that rows lack; what is known stays as it is.

    rows: a file, or rows as dicts; null, or an empty cell, is missing
    lines, columns: of a picture, or steps and columns of a series, that are hidden in every row, from 1, both ends in;
      what they held is what filling in is judged by, beside the nearest number that is left
    Raises ConfigError for a run that does not read which numbers are missing, DataError where none is.
    """
    trained, watch = opened(run, cells), watch or NoCallback()
    coder = coder_of(trained, device)
    if not coder.fills:
        raise ConfigError(
            f"{trained.folder.path}: was trained on whole rows (task.missing: refuse), so that it cannot tell which "
            "numbers are missing. Train with --set task.missing=mask --set 'task.noise={name: mask, each: block}'."
        )
    records = records_for(trained, rows)
    examples = examples_for(trained, records)
    truth = coder.rows(examples)
    gone = [np.isnan(row) for row in truth]
    if lines is not None or columns is not None:
        gone = [one | coder.region(e, lines, columns) for one, e in zip(gone, examples, strict=True)]
    if not any(one.any() for one in gone):
        raise DataError("rows: no number is missing, and no place is named that should be filled in.")
    if empty := [record for record, one in zip(records, gone, strict=True) if one.all()]:
        watch.note(f"{empty[0].origin}: nothing is left of this row, so it becomes any row.")
    known = [np.where(one, np.float32(np.nan), row) for one, row in zip(gone, truth, strict=True)]
    values = coder.filled(examples, known)
    return CodedRows(
        coder.completed(values, records, gone),
        None,
        coder.pictures(values),
        tuple(int(one.sum()) for one in gone),
        _errors(coder, truth, known, values),
    )


def refuse_large(lengths: Sequence[int], width: int, *, name: str, most_steps: int | None = None) -> None:
    """Raise DataError for rows that would take more memory than a call may have, before any is said.

    lengths: steps of each      width: numbers of a step      most_steps: of all rows together
    """
    longest, steps = max(lengths, default=0), sum(lengths)
    if longest > LONGEST:
        raise DataError(f"{name}: a row has {longest:,} steps, expected at most {LONGEST:,}; give it in parts.")
    most = MOST_SAID // width if most_steps is None else min(most_steps, MOST_SAID // width)
    if steps > most:
        raise DataError(
            f"{name}: are {steps:,} steps of {len(lengths):,} rows, expected at most {most:,}; take fewer at once."
        )


def _errors(
    coder: Coder, truth: Sequence[Floats], known: Sequence[Floats], values: Sequence[Floats]
) -> dict[str, float]:
    """Mean squared errors of what was hidden and is known; none where nothing is."""
    judged = _flat(known, np.isnan) & ~_flat(truth, np.isnan)
    if not judged.any():
        return {}
    gold = _flat(truth, np.float64)[judged]
    beside = {"this model": values, "neighbour": coder.neighbours(known)}
    return {name: float(((_flat(rows, np.float64)[judged] - gold) ** 2).mean()) for name, rows in beside.items()}


def _flat(rows: Sequence[Any], kind: Callable[[Any], Any]) -> Any:
    """All numbers of all rows."""
    return kind(np.concatenate([row.reshape(-1) for row in rows]))


def examples_for(run: OpenRun, records: Sequence[Record]) -> list[Any]:
    """Examples of records. Raises DataError for a row without numbers."""
    found = [run.task.example(record, gold=False) for record in records]
    for record, example in zip(records, found, strict=True):
        if not example.length:
            raise DataError(f"{record.origin}: holds nothing to read; leave the row out.")
    return found


def _way(first: Floats, last: Floats, steps: int, path: str) -> Floats:
    """(steps, Z) codes from one to another. Raises ConfigError for opposite ends of a great circle, or another word."""
    if path not in PATHS:
        raise ConfigError(f"path: unknown word '{path}'; expected one of {', '.join(PATHS)}.")
    a, b = first.astype(np.float64), last.astype(np.float64)
    t = np.linspace(0, 1, steps)[:, None]
    if path == "linear":
        return ((1 - t) * a + t * b).astype(np.float32)
    return _great_circle(a, b, t).astype(np.float32)


def _great_circle(a: NDArray[np.float64], b: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """sin((1 - t) w) / sin w a + sin(t w) / sin w b, w the angle between them (Shoemake 1985, section 3.3)."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / lengths if lengths else 1.0
    angle = math.acos(min(max(cosine, -1.0), 1.0))
    if math.pi - angle < NEAR:
        raise ConfigError("path: the two codes are opposite, and no great circle is the shortest; take linear.")
    if angle < NEAR:
        return (1 - t) * a + t * b
    found: NDArray[np.float64] = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / math.sin(angle)
    return found


def _refuse_given(reason: str, **options: Any) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise ConfigError([f"{name}: {reason}; leave it out." for name in given])


def _number(value: Any, name: str, usual: int, most: int, *, least: int = 1) -> int:
    if value is None:
        return usual
    if type(value) is not int or not least <= value <= most:
        raise ConfigError(f"{name}: expected a whole number from {least} to {most:,}, got {value!r}.")
    return value


def _temperature(value: float | None) -> float:
    found = 1.0 if value is None else value
    if not (isinstance(found, int | float) and math.isfinite(found) and 0 <= found <= 100):
        raise ConfigError(f"temperature: expected a number from 0 to 100, got {value!r}.")
    return float(found)


def _seed(value: int | None) -> int:
    found = 0 if value is None else value
    if type(found) is not int or not 0 <= found < 1 << 63:
        raise ConfigError(f"seed: expected a whole number from 0, got {value!r}.")
    return found
