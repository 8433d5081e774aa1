"""From a path to records: choose the format, read lazily, name every broken row by file and line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, did_you_mean
from recurra.base.normal import name_of
from recurra.base.registry import Registry
from recurra.base.words import counted
from recurra.data.formats.bad_rows import BadRows, StopAtBadRow
from recurra.data.formats.cursor import Cursor
from recurra.data.formats.dealing import Exchange, dealt
from recurra.data.formats.encodings import checked
from recurra.data.formats.format import Format, Offsets, OpenLines, OptionName, ReadOptions, Rows
from recurra.data.formats.lines import BadRowError, Line, count_lines
from recurra.data.formats.nested import MISSING, at_path
from recurra.data.formats.parallel import is_pattern, parallel_paths
from recurra.data.formats.shards import Shard, is_sharded, shards_of

FORMATS: Registry[Format] = Registry("format", "recurra.formats")
Note = Callable[[str], None]


def read(
    path: str | Path | Shard,
    *,
    format: str = "auto",
    columns: Sequence[str] | Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    offsets: Offsets | None = None,
    fields: Sequence[str] = (),
    bad_rows: BadRows | None = None,
    note: Note | None = None,
    scratch: str | None = None,
    exchange: Exchange | None = None,
    cursor: Cursor | None = None,
) -> Iterator[Record]:
    """Read the records of a file one at a time; memory does not grow with the file. Gzip needs no option.

    A glob, a folder of Parquet files, or a URL (`s3://bucket/*.parquet`) is read file by file. One shard of these may
    have no row.

    format:    a word of FORMATS, or "auto": by the file's name and content (`recognised`)
    columns:   names for a table that has no header, None: its first line is the header; or a map from a name of ours to
      the name of a field, or to the dotted path of a nested one
    delimiter: between the cells of CSV; None: found      encoding: of the file; None: UTF-8, or found
    sheet:     of a workbook; None: the first one
    offsets:   how an export counts where spans stand: "characters" (code points; None too), or "utf-16"
    fields:    names that every record must have
    bad_rows:  what to do with a row that cannot be read; by default, stop
    note:      told what is found about the file, and what is left out of it, a sentence each
    scratch:   folder for the copy of a file that is not on this machine; None: the system's
    exchange:  processes that all read the same name at once: of several files each reads its own, and sends the rows
    cursor:    gets marks of rows, and leads to one
    Raises ConfigError at once for options that are wrong or have no effect; DataError, while reading, for a file that
    is missing, empty, damaged, or without a single good row, and as `bad_rows` says for a broken row.
    """
    name = resolved_format(path) if format == "auto" else format
    chosen = FORMATS[name]
    options = _options(columns, delimiter, encoding, sheet, offsets)
    _refuse_idle(name, chosen, options)
    wanted, refused = tuple(fields), StopAtBadRow() if bad_rows is None else bad_rows
    if isinstance(path, Shard) or is_sharded(path):
        needed, once = not isinstance(path, Shard), _Once(note or _nobody)
        every = _Every(chosen, options, wanted, scratch, cursor)
        return _sharded(shards_of(path), every, refused, once, exchange, needed=needed)
    return _records(Path(path), chosen, options, wanted, refused, note or _nobody, cursor)


def num_lines(path: str | Path) -> int:
    """Lines of a file, or of the first of parallel ones, plain or gzip. Raises DataError for one that is missing."""
    return count_lines(next(iter(parallel_paths(path).values())) if is_pattern(path) else Path(path))


def resolved_format(path: str | Path | Shard) -> str:
    """The format that `format: auto` takes for this file. Raises ConfigError as `recognised`."""
    return recognised(path)[0]


def recognised(path: str | Path | Shard) -> tuple[str, str]:
    """The format that `format: auto` takes for a file or folder, and why where its name does not say it.

    Braces in the name come first, then what its content shows, then its suffix (`.gz` aside).
    Raises ConfigError when nothing tells it.
    """
    if isinstance(path, Shard) or is_sharded(path):
        first = shards_of(path)[0]
        with first.here() as file:
            return _recognised(file)
    return _recognised(path)


def _recognised(path: str | Path) -> tuple[str, str]:
    """Of one file or folder on this machine."""
    if is_pattern(path):
        return "parallel", ""
    for name, known in FORMATS.items():
        if known.takes is not None and (why := known.takes(Path(path))):
            return name, why
    suffix = Path(str(path).lower().removesuffix(".gz")).suffix
    for name, known in FORMATS.items():
        if suffix in known.suffixes:
            return name, ""
    if Path(path).is_dir():
        folders = "; ".join(known.doc for known in FORMATS.values() if known.takes and not known.suffixes)
        raise ConfigError(f"{path}: is a folder of nothing that recurra knows. Expected a file, or: {folders}.")
    raise ConfigError(f"{path}: the name does not tell the format. {_how_to_tell()}")


def splits_in(path: str | Path) -> Mapping[str, Path]:
    """The parts of a folder that holds several, by the name of their split; {} of everything else."""
    if is_sharded(path) or is_pattern(path) or not Path(path).is_dir():
        return {}
    found = FORMATS[recognised(path)[0]].splits
    return {} if found is None else found(Path(path))


def read_as(path: str | Path | Shard, found: tuple[str, str] | None = None) -> str:
    """What `format: auto` takes a file for, and why, as a sentence. found: what `recognised` has said"""
    name, why = recognised(path) if found is None else found
    return f"{path}: read as {name}{f', as {why}' if why else ''}."


def _how_to_tell() -> str:
    suffixes = ", ".join(suffix for known in FORMATS.values() for suffix in known.suffixes)
    broken = "".join(f" {reason}" for reason in FORMATS.broken.values())
    return f"Rename it, to end in one of {suffixes}; or set data.format to one of: {', '.join(FORMATS)}.{broken}"


def field(record: Record, name: str) -> Any:
    """The value of one field, by any spelling of its name.

    Raises DataError that names the record's fields when there is none of this name.
    """
    found = spelt(name, record.fields)
    if found is None:
        raise DataError(f"{record.origin}: {_missing(name, record.fields)}")
    return record.fields[found]


def spelt(name: str, names: Collection[str]) -> str | None:
    """A column's name as the file spells it, from any spelling; None where there is no such column."""
    if name in names:
        return name
    wanted = name_of(name)
    return next((one for one in names if name_of(one) == wanted), None)


def _records(
    path: Path,
    chosen: Format,
    options: ReadOptions,
    fields: tuple[str, ...],
    bad_rows: BadRows,
    note: Note,
    cursor: Cursor | None = None,
    *,
    needed: bool = True,
) -> Iterator[Record]:
    """needed: whether it is an error that there is no good row."""
    with chosen.opened(path, options) as lines:
        rows = chosen.open(lines, options)
        if rows.columns is not None:
            _check_header(str(path), (*rows.columns, *options.paths), fields)
        said = _Said(lines, rows, note)
        said.tell()
        none_yet = True
        before = None if cursor is None else partial(cursor.before_row, chosen, lines, rows)
        for record in _good_rows(lines, rows, options.paths, fields, bad_rows, before):
            none_yet = False
            yield record
        said.tell()
        if none_yet and needed:
            raise DataError(_why_no_rows(lines, bad_rows))


def _sharded(
    shards: Sequence[Shard],
    every: _Every,
    bad_rows: BadRows,
    note: Note,
    exchange: Exchange | None,
    *,
    needed: bool,
) -> Iterator[Record]:
    """The records of several files, one after another. needed: whether it is an error that there is no good row."""
    none_yet = True
    records: Iterator[Record] = chain.from_iterable(every.records(shard, bad_rows, note) for shard in shards)
    if exchange is not None:
        records = dealt(shards, every.records, bad_rows, note, exchange, every.scratch, every.cursor)
    for record in records:
        none_yet = False
        yield record
    if none_yet and needed:
        skipped = f"; skipped: {bad_rows.examples[0]}" if bad_rows.count else ""
        others = f" and {counted(len(shards) - 1, 'other file')}" if len(shards) > 1 else ""
        raise DataError(f"{shards[0].name}{others}: no good row{skipped}.")


class _Every:
    """How each of several files is read. fields: names that every record must have"""

    def __init__(
        self,
        chosen: Format,
        options: ReadOptions,
        fields: tuple[str, ...],
        scratch: str | None,
        cursor: Cursor | None,
    ) -> None:
        self._chosen, self._options, self._fields = chosen, options, fields
        self.scratch, self.cursor = scratch, cursor

    def records(self, shard: Shard, bad_rows: BadRows, note: Note) -> Iterator[Record]:
        """The records of one, each with the fields of its folders' names."""
        wanted = tuple(name for name in self._fields if spelt(name, shard.fields) is None)
        with shard.here(self.scratch) as file:
            called = _Called(str(file), shard.name, bad_rows, note)
            try:
                how = (file, self._chosen, self._options, wanted, called, called.note, self.cursor)
                for record in _records(*how, needed=False):
                    at = record.origin
                    origin = at if at.path != called.path else Origin(shard.name, at.line)
                    yield Record({**record.fields, **shard.fields}, origin, record.steps)
            except DataError as problem:
                raise DataError(called.put(str(problem))) from None


class _Called:
    """Says a file's own name in the place of that of its copy, of refused rows and notes, which it passes on."""

    def __init__(self, path: str, name: str, bad_rows: BadRows, note: Note) -> None:
        self.path, self._name, self._bad_rows, self._note = path, name, bad_rows, note

    @property
    def count(self) -> int:
        return self._bad_rows.count

    @property
    def examples(self) -> tuple[str, ...]:
        return self._bad_rows.examples

    def refuse(self, problem: DataError) -> None:
        self._bad_rows.refuse(DataError(self.put(str(problem))))

    def note(self, message: str) -> None:
        self._note(self.put(message))

    def put(self, message: str) -> str:
        return message.replace(self.path, self._name)


class _Once:
    """Says of all files what it says of the first one."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._told: set[str] = set()

    def __call__(self, message: str) -> None:
        _, _, what = message.partition(": ")
        if what not in self._told:
            self._told.add(what)
            self._note(message)


class _Said:
    """What a format has to say of a file, each sentence once."""

    def __init__(self, lines: OpenLines, rows: Rows, note: Note) -> None:
        self._path, self._note = lines.path, note
        self._lists: list[list[str]] = [getattr(one, "said", []) for one in (lines, rows)]
        self._told = [0, 0]

    def tell(self) -> None:
        for place, sentences in enumerate(self._lists):
            for sentence in sentences[self._told[place] :]:
                self._note(f"{self._path}: {sentence}")
            self._told[place] = len(sentences)


def _good_rows(
    lines: OpenLines,
    rows: Rows,
    paths: Mapping[str, str],
    fields: tuple[str, ...],
    bad_rows: BadRows,
    before: Callable[[int], None] | None,
) -> Iterator[Record]:
    """before: told of each row before it is read, with the number of those before it"""
    for number in count():
        try:
            if before is not None:
                before(number)
            line, values = rows.next_row()
            if paths:
                values = _picked(values, paths, lines, line)
            for name in fields:
                if spelt(name, values) is None:
                    raise _bad(lines, _missing(name, values), line)
        except StopIteration:
            return
        except BadRowError as problem:
            bad_rows.refuse(problem)
        else:
            yield Record(values, line if isinstance(line, Origin) else Origin(lines.path, line.number))


def _bad(lines: OpenLines, message: str, line: Line | Origin) -> BadRowError:
    if isinstance(line, Origin):
        return BadRowError(f"{line}: {message}", Line(line.line or 0, "", ""))
    return lines.bad(message, line)


def _picked(
    values: Mapping[str, Any], paths: Mapping[str, str], lines: OpenLines, line: Line | Origin
) -> Mapping[str, Any]:
    """A row's fields, and those that `columns` picks under the names that it gives them."""
    found = {}
    for name, path in paths.items():
        found[name] = at_path(values, path)
        if found[name] is MISSING:
            raise _bad(lines, f"data.columns takes '{name}' from '{path}': {_missing(path, values)}", line)
    return {**values, **found}


def _options(
    columns: Sequence[str] | Mapping[str, str] | None,
    delimiter: str | None,
    encoding: str | None,
    sheet: str | None,
    offsets: Offsets | None,
) -> ReadOptions:
    if encoding is not None:
        checked(encoding)
    if isinstance(columns, Mapping):
        if not columns or not all(isinstance(word, str) for pair in columns.items() for word in pair):
            raise ConfigError(f"columns: expected a map from names to names of fields, got {columns!r}.")
        return ReadOptions(None, dict(columns), delimiter, encoding, sheet, offsets)
    if columns is not None and (
        isinstance(columns, str) or not columns or len(set(map(name_of, columns))) < len(columns)
    ):
        raise ConfigError(f"columns: expected a list of different names, got {columns!r}.")
    return ReadOptions(None if columns is None else tuple(columns), {}, delimiter, encoding, sheet, offsets)


def _refuse_idle(name: str, chosen: Format, options: ReadOptions) -> None:
    """Raise ConfigError, a sentence each, for options that have no effect on the format."""
    known: tuple[OptionName, ...] = ("columns", "paths", "delimiter", "encoding", "sheet", "offsets")
    problems = [
        f"{_NAMED.get(option, f'{option}:')} has no effect on format '{name}', only on {_and(with_it)}. Remove it."
        for option in known
        if getattr(options, option) and option not in chosen.options
        for with_it in [[other for other, one in FORMATS.items() if option in one.options]]
    ]
    if problems:
        raise ConfigError(problems)


_NAMED = {"paths": "columns: a map of names"}


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _nobody(message: str) -> None:
    """Hears it."""


def _check_header(path: str, header: tuple[str, ...], fields: tuple[str, ...]) -> None:
    for name in fields:
        if spelt(name, header) is None:
            raise DataError(f"{path}:1: {_missing(name, header)}")


def _missing(name: str, known: Iterable[str] | Mapping[str, Any]) -> str:
    names = list(known)
    return f"no column '{name}'.{did_you_mean(name, names)} Columns: {', '.join(n or '(unnamed)' for n in names)}."


def _why_no_rows(lines: OpenLines, bad_rows: BadRows) -> str:
    if bad_rows.count:
        skipped = "its only row was" if bad_rows.count == 1 else f"all {bad_rows.count:,} rows were"
        return f"{lines.path}: {skipped} skipped. The first: {bad_rows.examples[0]}"
    if lines.number == 0:
        return f"{lines.path}: is empty, expected rows."
    return f"{lines.path}: has no rows, only {counted(lines.number, 'line')} of header or blanks."
