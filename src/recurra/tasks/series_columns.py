"""Which columns of a file hold numbers, which the answer, and whether each row is a series or a step of one."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.fields import names_sound, numbers_of
from recurra.data.film_names import names_film
from recurra.data.sound import sound_of
from recurra.tasks.columns import column_names, named, values
from recurra.tasks.contract import Suggestion

# Names that people give to these columns; the first that is there wins.
VALUES_NAMES = ("values", "value", "series", "signal", "features", "x")
ID_NAMES = (
    "id",
    "series",
    "series_id",
    "unique_id",
    "case",
    "case_id",
    "case_index",
    "subject",
    "sequence",
    "session",
    "recording",
    "trial",
)
TIME_NAMES = ("time", "t", "timestamp", "ds", "date", "datetime", "step", "time_index", "timepoint", "frame")
# The beginning of a file that is looked at, and numbers without names in its first line: a table of the UCR archive.
LOOK_BYTES = 65_536
# Bands of sounds that `init` writes; Kaldi's own 23 were not compared with it.
BANDS = 40
# Frames of a film that `init` writes, and the pixels of their sides.
FRAMES_READ, FRAME_SIDE = 16, 32
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[Nn]a[Nn]|\?")


def format_of(file: Path) -> str:
    """The format that `init` reads a file in: `ucr` where its first line is numbers alone, else by its name."""
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as lines:
            first = lines.readline(LOOK_BYTES).decode("utf-8", "replace")
    except (OSError, EOFError):
        return "auto"
    cells = re.split(r"[\s,]+", first.strip())
    return "ucr" if len(cells) > 2 and all(_NUMBER.fullmatch(cell) for cell in cells) else "auto"


@dataclass(frozen=True, slots=True)
class Answer:
    """The columns of what a series should be. options: of the task      said: as `Suggestion`"""

    columns: tuple[str, ...]
    options: Mapping[str, Any]
    said: tuple[str, ...]


# The answer among these columns; (rows, file, names). Raises DataError where none fits.
Find = Callable[[Sequence[Record], Path, Sequence[str]], Answer]


def suggested(
    rows: Sequence[Record],
    file: Path,
    find: Find,
    *,
    wanted: str,
    vectors: bool = False,
    apart: Sequence[str] = (),
) -> Suggestion:
    """Options of a task for a file, from its first rows. Raises ConfigError or DataError if nothing fits.

    wanted: the answer, in words, "" where there is none
    vectors: where rows cannot be put together, each is a series of one step
    apart: columns that hold no series, whatever is in them
    """
    there = column_names(rows, file, f"numbers and {wanted}") if wanted else list(rows[0].fields)
    names = [name for name in there if name not in apart]
    sounds = [name for name in names if names_sound(rows[0].fields[name])]
    if sounds:
        return _of_sounds(rows, file, names, sounds[0], find)
    films = [name for name in names if names_film(rows[0].fields[name], rows[0].origin)]
    if films:
        return _of_films(rows, file, names, films[0], find)
    listed = [name for name in names if num_steps(rows[0], name) > 1]
    if listed:
        return _of_series(rows, file, names, listed, find)
    if vectors and named(ID_NAMES, names) is None:
        return _of_vectors(rows, file, names, find)
    return _of_steps(rows, file, names, find)


def _of_sounds(rows: Sequence[Record], file: Path, names: Sequence[str], column: str, find: Find) -> Suggestion:
    """Each row names a sound file. The rate is that of the first."""
    answer = find(rows, file, [name for name in names if name != column])
    first = sound_of(rows[0].fields[column], rows[0].origin, column)
    sound: dict[str, Any] = {"name": "kaldi", "rate": first.rate, "bands": BANDS}
    said = [
        f"values: column '{column}', of sound files; the first has {first.rate:,} samples a second.",
        *answer.said,
    ]
    if first.channels > 1:
        sound["channels"] = "mean"
        said.append(f"sound.channels: mean, as the first has {first.channels}.")
    return Suggestion({"values": column, **answer.options, "sound": sound}, said=tuple(said))


def _of_films(rows: Sequence[Record], file: Path, names: Sequence[str], column: str, find: Find) -> Suggestion:
    """Each row names a folder of pictures, or a video."""
    answer = find(rows, file, [name for name in names if name != column])
    frames = {"name": "pictures", "height": FRAME_SIDE, "width": FRAME_SIDE, "number": FRAMES_READ}
    said = (
        f"values: column '{column}', of films; {FRAMES_READ} frames of each are read, evenly apart, at {FRAME_SIDE} by "
        f"{FRAME_SIDE} pixels.",
        *answer.said,
    )
    return Suggestion({"values": column, **answer.options, "frames": frames, "scaling": "none"}, said=said)


def _of_series(
    rows: Sequence[Record], file: Path, names: Sequence[str], listed: Sequence[str], find: Find
) -> Suggestion:
    """Each row is a series."""
    answer = find(rows, file, [name for name in names if name not in listed])
    by_name = named(VALUES_NAMES, listed)
    lengths = {name: num_steps(rows[0], name) for name in listed}
    together = [name for name in listed if lengths[name] == lengths[listed[0]]]
    chosen: Any = by_name if by_name is not None else listed[0] if len(together) == 1 else together
    said = [
        f"values: {quoted(chosen)}, {'by its name' if by_name is not None else 'of numbers'}; each row is a series.",
        *answer.said,
    ]
    return Suggestion({"values": chosen, **answer.options}, said=tuple(said))


def _of_vectors(rows: Sequence[Record], file: Path, names: Sequence[str], find: Find) -> Suggestion:
    """Each row is one step: a vector."""
    answer = find(rows, file, names)
    numbers = [name for name in names if name not in answer.columns and all_numbers(rows, name)]
    if not numbers:
        beside = quoted(list(answer.columns))
        raise DataError(f"{file}: expected a column of numbers beside {beside}, found none.")
    said = (f"values: {quoted(numbers)}, of numbers; each row is one vector.", *answer.said)
    return Suggestion({"values": numbers[0] if len(numbers) == 1 else numbers, **answer.options}, said=said)


def _of_steps(rows: Sequence[Record], file: Path, names: Sequence[str], find: Find) -> Suggestion:
    """Each row is a step: long form. An id is needed that tells series apart."""
    id_name, time = named(ID_NAMES, names), named(TIME_NAMES, names)
    if id_name is None:
        raise DataError(
            f"{file}: no column holds a list of numbers, and none is called {', '.join(ID_NAMES[:4])}, ... so that "
            "rows of one series could be put together. Name them in a config: task.values, task.label and "
            "data.layout: {name: long, id: COLUMN, time: COLUMN}."
        )
    answer = find(rows, file, [name for name in names if name not in (id_name, time)])
    numbers = [n for n in names if n not in (id_name, time, *answer.columns) and all_numbers(rows, n)]
    if not numbers:
        beside = "' and '".join((id_name, *answer.columns))
        raise DataError(f"{file}: expected a column of numbers beside '{beside}', found none.")
    chosen: Any = numbers[0] if len(numbers) == 1 else numbers
    layout = {"name": "long", "id": id_name, **({} if time is None else {"time": time})}
    order = "as the file has them" if time is None else f"in the order of '{time}'"
    said = [
        f"layout: long; rows with the same '{id_name}' are one series, {order}.",
        f"values: {quoted(chosen)}, of numbers; one a step.",
        *answer.said,
    ]
    return Suggestion({"values": chosen, **answer.options}, {"layout": layout}, tuple(said))


def number_of_series(rows: Sequence[Record], number: int) -> int:
    """About how many series a file of so many rows has, from its first rows."""
    names = list(rows[0].fields)
    id_name = named(ID_NAMES, names)
    if id_name is None or any(num_steps(rows[0], name) > 1 for name in names):
        return number
    return max(1, round(len(set(values(rows, id_name))) * number / len(rows)))


def number_of_steps(rows: Sequence[Record], number: int) -> int:
    """About how many steps all series of a file of so many rows have, from its first rows; 0 where they are sounds."""
    some = rows[:50]
    return round(sum(max(num_steps(row, name) for name in row.fields) for row in some) * number / len(some))


def quoted(chosen: str | Sequence[str]) -> str:
    """Columns in a sentence."""
    some = [chosen] if isinstance(chosen, str) else chosen
    return ("column " if len(some) == 1 else "columns ") + ", ".join(f"'{name}'" for name in some)


def num_steps(row: Record, name: str) -> int:
    """How many steps a field has; 0 where it holds no numbers."""
    try:
        return len(numbers_of(row.fields.get(name), row.origin, name))
    except DataError:
        return 0


def all_numbers(rows: Sequence[Record], name: str) -> bool:
    """Whether a column holds one number in each of the first rows."""
    return all(num_steps(row, name) == 1 for row in rows[:50])
