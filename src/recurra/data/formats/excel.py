"""Workbooks of Excel (.xlsx, .xlsm), by openpyxl: the first row of a sheet has the names, and cells are text as in CSV.

Numbers have at most 15 digits, as Excel shows them; dates are as in ISO 8601; booleans TRUE and FALSE. A formula has
the value that was stored with it; where a program wrote none, the cell is named.

A workbook is a zip file of XML. What its parts unpack to is bounded before any is read, and Python's zipfile unpacks no
part further than it says; no XML may define entities. Rows are read one after another; the table of shared texts is in
memory whole.
"""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from recurra.base.errors import ConfigError, DataError, did_you_mean
from recurra.base.normal import name_of
from recurra.base.optional import needs
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import MAX_LINE_BYTES, BadRowError, Line, open_bytes
from recurra.data.formats.table import names_of_header

# A sheet of a million rows, as many as Excel has, takes a few hundred MB of XML.
MAX_UNPACKED = 2**30
# XML of sheets shrinks to a tenth, seldom to a hundredth. Small parts may shrink as they like.
MAX_RATIO, SMALL = 250, 2**24
MAX_PARTS = 10_000
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PROTECTED = "EncryptedPackage".encode("utf-16-le")
# Rows that are asked for at once.
BLOCK = 256
_EXTRA = "excel"


class Sheet:
    """The rows of a sheet, with their numbers. path: of the workbook. number: rows read so far. said: see `Rows`."""

    def __init__(self, path: str, rows: Iterator[Sequence[Any]], formulas: Iterator[Sequence[Any]] | None) -> None:
        self.path, self.number = path, 0
        self.said: list[str] = []
        self._rows, self._formulas = rows, formulas
        self._block: list[tuple[Sequence[Any], Sequence[Any]]] = []

    def bad(self, message: str, line: Line | None = None) -> BadRowError:
        """The error for a row, by default the last one read."""
        at = line or Line(self.number, "", "")
        return BadRowError(f"{self.path}:{at.number}: {message}", at)

    def next_cells(self) -> tuple[Line, list[str]]:
        """The next row that is not empty, as text, without empty cells at its end. Raises StopIteration at the end.

        Raises BadRowError for a formula without a value, and a text over the limit of a line.
        """
        while True:
            values, written = self._next()
            line = Line(self.number, "", "")
            for place, formula in enumerate(written):
                if values[place] is None and isinstance(formula, str) and formula.startswith("="):
                    raise self.bad(
                        f"cell {cell_name(place, line.number)} holds the formula {formula[:40]} without a value. Open "
                        "the file in a spreadsheet and save it, which stores the values.",
                        line,
                    )
            cells = [text_of(value) for value in values]
            while cells and not cells[-1]:
                cells.pop()
            if sum(map(len, cells)) > MAX_LINE_BYTES:
                raise self.bad(f"the row holds more than {MAX_LINE_BYTES:,} characters, the limit.", line)
            if cells:
                return line, cells

    def _next(self) -> tuple[Sequence[Any], Sequence[Any]]:
        if not self._block:
            with _readable(self.path):
                rows = list(islice(self._rows, BLOCK))
                written = [()] * len(rows) if self._formulas is None else list(islice(self._formulas, BLOCK))
            self._block = list(zip(rows, written, strict=True))[::-1]
            if not self._block:
                raise StopIteration
        self.number += 1
        return self._block.pop()


class SheetRows:
    """Rows of a sheet below its names.

    columns: names for a sheet without a header; None: the first row that is not empty holds them
    Raises DataError when there is no such row, or it names a column twice.
    """

    def __init__(self, sheet: Sheet, columns: tuple[str, ...] | None) -> None:
        self._sheet = sheet
        self._header, self._written = 0, [""]
        self.columns = self._names() if columns is None else columns

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next row; BadRowError where a cell stands in a column without a name."""
        line, cells = self._sheet.next_cells()
        names = self.columns
        for place, cell in enumerate(cells):
            nameless = place >= len(names) or (self._header and place and not name_of(self._written[place]))
            if cell and nameless:
                where = (
                    f"{cell_name(place, self._header)}, the name of its column, is empty"
                    if self._header
                    else (f"data.columns has {len(names)} names")
                )
                raise self._sheet.bad(
                    f"cell {cell_name(place, line.number)} holds {cell[:40]!r}, and {where}. Name it; a name over "
                    "several columns (merged cells) must be parted, one for each.",
                    line,
                )
        cells += [""] * (len(names) - len(cells))
        return line, dict(zip(names, cells, strict=True))

    def _names(self) -> tuple[str, ...]:
        try:
            line, self._written = self._sheet.next_cells()
        except StopIteration:
            raise DataError(f"{self._sheet.path}: the sheet is empty, expected names of columns and rows.") from None
        self._header = line.number
        return names_of_header(f"{self._sheet.path}:{line.number}", self._written)


def text_of(value: Any) -> str:
    """A cell as text, as a CSV file has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return format(value, ".15g")
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time()
        exact = "microseconds" if value.microsecond % 1000 else "milliseconds" if value.microsecond else "seconds"
        return value.date().isoformat() if is_day else value.isoformat(" ", exact)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        seconds, rest = divmod(round(abs(value.total_seconds()) * 1000), 1000)
        sign, fraction = "-" if value < datetime.timedelta() else "", f".{rest:03}" if rest else ""
        return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
    return str(value)


def cell_name(place: int, row: int) -> str:
    """B7 for the second column, place 1, of row 7."""
    letters, number = "", place + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row}"


@contextmanager
def open_sheet(path: Path, options: ReadOptions) -> Iterator[Sheet]:
    """Open a sheet: that of `options.sheet`, or the first. Raises DataError for what is no workbook, ConfigError for a
    sheet that is not there, or without openpyxl."""
    openpyxl = needs("openpyxl", _EXTRA, f"{path}: a workbook of Excel")
    has_formulas = _checked(path)
    with _readable(path):
        books = [openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)]
        if has_formulas:
            books.append(openpyxl.load_workbook(path, read_only=True, data_only=False, keep_links=False))
    try:
        found = [_chosen(book.worksheets, path, options.sheet) for book in books]
        for one in found:
            one.reset_dimensions()  # some programs write others than there are
        sheet = Sheet(str(path), *(one.iter_rows(values_only=True) for one in found), *[None] * (2 - len(found)))
        names = [one.title for one in books[0].worksheets]
        if len(names) > 1 and options.sheet is None:
            sheet.said.append(f"sheet {names[0]!r} of {len(names)} is read; data.sheet chooses another.")
        yield sheet
    finally:
        for book in books:
            book.close()


def _chosen(sheets: Sequence[Any], path: Path, wanted: str | None) -> Any:
    names = [one.title for one in sheets]
    if not names:
        raise DataError(f"{path}: has no sheet of cells.")
    if wanted is None:
        return sheets[0]
    for one in sheets:
        if name_of(one.title) == name_of(wanted):
            return one
    raise ConfigError(
        f"sheet: {path} has no sheet '{wanted}'.{did_you_mean(wanted, names)} Sheets: {', '.join(names)}."
    )


def _checked(path: Path) -> bool:
    """Whether a workbook has formulas. Raises DataError for what is none, is protected, or unpacks to too much."""
    with open_bytes(path) as file:
        first = file.read(8)
        if first == _OLE:
            raise DataError(f"{path}: {_of_ole(file)}")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise DataError(
            f"{path}: is no workbook of Excel: it begins with {first!r}. If it is a table under a wrong name, set "
            "data.format, e.g. to csv."
        )
    with _readable(path), zipfile.ZipFile(path) as parts:
        _refuse_bomb(path, parts.infolist())
        return _formulas(path, parts)


def _of_ole(file: Any) -> str:
    if _PROTECTED in file.read(2**26):
        return "is protected by a password. Open it in a spreadsheet, and save it without one."
    return "is a workbook of Excel before 2007 (.xls). Save it as .xlsx or CSV."


def _refuse_bomb(path: Path, parts: Sequence[zipfile.ZipInfo]) -> None:
    size = sum(one.file_size for one in parts)
    if any(one.flag_bits & 1 for one in parts):
        raise DataError(f"{path}: is protected by a password. Save it without one.")
    if len(parts) > MAX_PARTS or size > MAX_UNPACKED:
        raise DataError(
            f"{path}: unpacks to {size:,} bytes in {len(parts):,} parts, expected at most {MAX_UNPACKED:,} in "
            f"{MAX_PARTS:,}. Save the sheet as CSV."
        )
    for one in parts:
        if one.file_size > max(SMALL, MAX_RATIO * one.compress_size):
            raise DataError(
                f"{path}: its part {one.filename[:60]!r} unpacks from {one.compress_size:,} to {one.file_size:,} "
                f"bytes, expected at most {MAX_RATIO} times as many. Save the sheet as CSV."
            )


def _formulas(path: Path, parts: zipfile.ZipFile) -> bool:
    """Whether a sheet has a formula. Raises DataError for XML that defines entities."""
    found = False
    for name in parts.namelist():
        if not name.endswith((".xml", ".rels")):
            continue
        with parts.open(name) as part:
            before = part.read(4096)
            if b"<!" in before and (b"<!DOCTYPE" in before or b"<!ENTITY" in before):
                raise DataError(f"{path}: its part {name[:60]!r} defines entities, which no spreadsheet writes.")
            while before and not found and "worksheets/" in name:
                found = b"<f>" in before or b"<f " in before
                more = part.read(2**20)
                before = more and before[-4:] + more
    return found


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Raise DataError for whatever openpyxl says of a damaged workbook; what it warns of matters to no cell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, ConfigError):
        raise
    except Exception as error:
        told = "".join(str(error).splitlines()[:1])[:100]
        raise DataError(
            f"{path}: the workbook is damaged ({type(error).__name__}: {told}). Save or download it again."
        ) from error


def _opened(sheet: Sheet, options: ReadOptions) -> SheetRows:
    return SheetRows(sheet, options.columns)


EXCEL = Format(
    doc="workbooks of Excel: the first row of a sheet has the names, cells are text as in CSV",
    suffixes=(".xlsx", ".xlsm", ".xls"),
    open=_opened,
    options=("columns", "paths", "sheet"),
    opened=open_sheet,
    by_line=False,
)
