"""Which columns of a file hold stamps, names of series and numbers; and whether a column is a series or a value of
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.calendar import inferred, read_stamps, zone_of
from recurra.data.calendar.frequency import Frequency
from recurra.data.calendar.stamps import moment_of
from recurra.data.fields import numbers_of
from recurra.tasks.columns import column_names, looks_like_labels, named
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
ID_NAMES = ("unique_id", "id", "series_id", "series", "item_id", "store", "product", "item", "sensor", "name", "ticker")
TIME_NAMES = ("ds", "timestamp", "time", "date", "datetime", "month", "week", "day", "year", "quarter", "period", "t")
TARGET_NAMES = ("y", "target", "value", "sales", "demand", "load", "units", "quantity", "count", "price")
# Steps of a forecast, by frequency: those of the M4 competition where it has them.
HORIZONS = {"h": 48, "D": 14, "B": 14, "W": 13, "MS": 18, "ME": 18, "QS": 8, "QE": 8, "YS": 6, "YE": 6}


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises DataError if no column holds numbers."""
    names = column_names(rows, file, "stamps and numbers") if len(rows[0].fields) > 1 else list(rows[0].fields)
    listed = [name for name in names if isinstance(rows[0].fields.get(name), list)]
    if listed:
        return _of_records(rows, file, names, listed)
    time = _time(rows, names)
    id_name = None if time is None else _id(rows, [name for name in names if name != time], time)
    if id_name is not None and time is not None:
        return _long(rows, file, names, time, id_name)
    return _wide(rows, file, names, time)


def _of_records(rows: Sequence[Record], file: Path, names: Sequence[str], listed: Sequence[str]) -> Suggestion:
    """Each row is a series: lists of numbers, perhaps with a list of stamps."""
    time = next((n for n in named_all(TIME_NAMES, listed) if n is not None), None)
    targets = [name for name in listed if name != time]
    if not targets:
        raise DataError(f"{file}: expected a list of numbers beside '{time}', found none.")
    target = named(TARGET_NAMES, targets) or targets[0]
    id_name = named(ID_NAMES, [name for name in names if name not in listed])
    task: dict[str, Any] = {"target": target, **({} if time is None else {"time": time})}
    task |= {} if id_name is None else {"id": id_name}
    word = _frequency(rows[0].fields[time] if time else None, rows)
    return _with_horizon(task, {}, [f"target: column '{target}', a list of numbers; each row is a series."], word)


def named_all(known: Sequence[str], names: Sequence[str]) -> list[str | None]:
    """The first known name among these, alone in a list."""
    return [named(known, names)]


def _long(rows: Sequence[Record], file: Path, names: Sequence[str], time: str, id_name: str) -> Suggestion:
    """Each row is a step of the series that its id names."""
    others = [name for name in names if name not in (time, id_name)]
    numbers = [name for name in others if _all_numbers(rows, name)]
    if not numbers:
        raise DataError(f"{file}: expected a column of numbers beside '{id_name}' and '{time}', found none.")
    numbers, flags = without_labels(rows, numbers)
    target = named(TARGET_NAMES, numbers) or numbers[0]
    rest = [name for name in others if name != target]
    task: dict[str, Any] = {"target": target, "time": time, "id": id_name}
    first = str(rows[0].fields.get(id_name))
    stamps = [row.fields.get(time) for row in rows if str(row.fields.get(id_name)) == first]
    said = [
        f"layout: long; rows with the same '{id_name}' are one series, in the order of '{time}'.",
        f"target: column '{target}'.",
        *flags,
    ]
    if rest:
        said.append(
            f"left out: {', '.join(map(repr, rest))}; name what is known of the future in task.future, of the past in "
            "task.past, of a whole series in task.static, and words among them in task.categories."
        )
    return _with_horizon(
        task, {"layout": {"name": "long", "id": id_name, "time": time}}, said, _frequency(stamps, rows)
    )


def _wide(rows: Sequence[Record], file: Path, names: Sequence[str], time: str | None) -> Suggestion:
    """Each column of numbers is a series."""
    numbers = [name for name in names if name != time and _all_numbers(rows, name)]
    if not numbers:
        raise DataError(
            f"{file}: expected a column of numbers to forecast, found none among {', '.join(map(repr, names))}."
        )
    numbers, flags = without_labels(rows, numbers)
    value = next(name for name in ("value", "number", "target") if name != time)
    task: dict[str, Any] = {"target": value, "id": "series", **({} if time is None else {"time": time})}
    layout = {"name": "wide", "columns": numbers, "value": value, **({} if time is None else {"time": time})}
    shown = f"column '{numbers[0]}' is the series" if len(numbers) == 1 else f"{len(numbers)} columns are series"
    said = [f"layout: wide; {shown}{'' if time is None else f', with stamps in {time!r}'}.", *flags]
    stamps = None if time is None else [row.fields.get(time) for row in rows]
    return _with_horizon(task, {"layout": layout}, said, _frequency(stamps, rows))


def _with_horizon(
    task: dict[str, Any], data: dict[str, Any], said: Sequence[str], frequency: Frequency | None
) -> Suggestion:
    word = None if frequency is None else frequency.word
    horizon = HORIZONS.get(str(word), max(12, frequency.season) if frequency else 12)
    apart = "no stamps tell the frequency" if word is None else f"steps are {word} apart"
    line = f"horizon: {horizon} steps, as {apart}; set task.horizon to what you need."
    return Suggestion({**task, "horizon": horizon}, data, (*said, line))


def _time(rows: Sequence[Record], names: Sequence[str]) -> str | None:
    """The column of stamps: by its name, else the first that holds dates alone."""
    by_name = named(TIME_NAMES, names)
    if by_name is not None and _all_stamps(rows, by_name):
        return by_name
    return next((n for n in names if _all_stamps(rows, n) and not _all_numbers(rows, n)), None)


def _all_stamps(rows: Sequence[Record], name: str) -> bool:
    return all(moment_of(row.fields.get(name)) is not None for row in rows[:50])


def _id(rows: Sequence[Record], names: Sequence[str], time: str) -> str | None:
    """The column that names series: one of a usual name whose values rows share; else one that tells apart rows of the
    same time."""
    by_name = named(ID_NAMES, names)
    if by_name is not None and len({str(row.fields.get(by_name)) for row in rows}) < len(rows):
        return by_name
    stamps = [str(row.fields.get(time)) for row in rows]
    if len(set(stamps)) == len(rows):
        return None
    texts = [name for name in names if not _all_numbers(rows, name)]
    pairs = {n: set(zip(stamps, (str(row.fields.get(n)) for row in rows), strict=True)) for n in texts}
    return next((name for name in texts if len(pairs[name]) == len(rows)), None)


def without_labels(rows: Sequence[Record], numbers: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that are data, and a line on each that looks like labels of anomalies; where all do, all are data."""
    labels = [name for name in numbers if looks_like_labels(name, (row.fields.get(name) for row in rows))]
    if len(labels) == len(numbers):
        return list(numbers), []
    said = [
        f"left out: column '{name}' holds 0 and 1 alone, as labels of anomalies do (`recurra detect --labels {name}`); "
        "name it in the config if it is data."
        for name in labels
    ]
    return [name for name in numbers if name not in labels], said


def _all_numbers(rows: Sequence[Record], name: str) -> bool:
    try:
        return all(len(numbers_of(row.fields.get(name) or 0, row.origin, name)) == 1 for row in rows[:50])
    except DataError:
        return False


def _frequency(stamps: Any, rows: Sequence[Record]) -> Frequency | None:
    if not stamps:
        return None
    try:
        found = read_stamps(list(stamps), zone_of(None), lambda k: str(rows[0].origin), "")
    except (DataError, ConfigError):
        return None
    found.places.sort()
    return inferred(found.places, found.form.kind == "number", None)
