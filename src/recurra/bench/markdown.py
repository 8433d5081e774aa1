"""The tables of a page, written in place between markers; what a person wrote around them stays.

<!-- bench: train -->
(a table)
<!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from recurra.base.atomic import write_text
from recurra.base.errors import DataError
from recurra.bench.peers import PEERS
from recurra.bench.results import Machine
from recurra.bench.row import Mean, Row, means

MACHINE, LEGEND = "machine", "peers"


def update(path: Path, machine: Machine, rows: list[Row]) -> None:
    """Put the machine, the legend and the tables of the measured modes into a page; other modes keep theirs.

    Raises DataError if the page has no markers for one of them.
    """
    text = path.read_text(encoding="utf-8")
    for name, block in blocks(machine, rows).items():
        text = _replaced(path, text, name, block)
    write_text(path, text)


def blocks(machine: Machine, rows: list[Row]) -> dict[str, str]:
    """What belongs between the markers, by their name."""
    modes = dict.fromkeys(row.configuration.mode for row in rows)
    tables = {mode: [row for row in rows if row.configuration.mode == mode] for mode in modes}
    written = {mode: "\n".join(_tables(group)) for mode, group in tables.items()}
    return {MACHINE: machine.line() + ".", LEGEND: "\n".join(_legend()), **written}


def check(path: Path, modes: Iterable[str]) -> None:
    """Raise DataError if the page has no place for a table of these modes: better before measuring than after."""
    text = path.read_text(encoding="utf-8")
    for name in (MACHINE, LEGEND, *modes):
        _place(path, text, name)


def _replaced(path: Path, text: str, name: str, block: str) -> str:
    begin, end = _place(path, text, name)
    return text[:begin] + block + "\n" + text[end:]


def _place(path: Path, text: str, name: str) -> tuple[int, int]:
    """Where the text between a pair of markers begins and ends; another pair's beginning must not lie in it."""
    begin = f"<!-- bench: {name} -->"
    found = re.search(rf"{re.escape(begin)}\n((?:(?!<!-- bench: ).)*?)<!-- end -->", text, re.DOTALL)
    if found is None:
        raise DataError(f"{path}: expected '{begin}' and '<!-- end -->' around a place for this table, found none.")
    return found.span(1)


def _legend() -> Iterator[str]:
    yield from _head("peer", ["what it is"])
    for name, peer in PEERS.items():
        yield _line(f"`{name}`", peer.doc)


def _tables(rows: list[Row]) -> Iterator[str]:
    """What the mode does; the values by sizes and cell; then the means by cell and peer."""
    doc = rows[0].configuration.kind.doc
    yield from (f"{doc[0].upper()}{doc[1:]}.", "")
    cells = list(dict.fromkeys(row.configuration.cell for row in rows))
    by_place = {(row.configuration.sizes, row.configuration.cell): row for row in rows}
    yield from _head("T, N, I, H", cells)
    for sizes in dict.fromkeys(row.configuration.sizes for row in rows):
        entries = (by_place.get((sizes, cell)) for cell in cells)
        yield _line(", ".join(map(str, sizes)), *("" if row is None else _entry(row) for row in entries))
    yield ""
    yield from _mean_table(means(rows))


def _mean_table(groups: list[Mean]) -> Iterator[str]:
    peers = list(dict.fromkeys(name for mean in groups for name in mean.peers))
    yield from _head("geometric mean", ["best peer each", *peers])
    for mean in groups:
        yield _line(mean.cell, _times(mean.best), *(_times(mean.peers.get(name)) for name in peers))


def _entry(row: Row) -> str:
    """`13.5 ms, 51 %, 1.04x torch`."""
    parts = [f"{row.value:{'.3g' if row.value < 1000 else '.0f'}} {row.configuration.kind.unit}"]
    if row.share is not None:
        parts.append(f"{100 * row.share:.0f} %")
    if row.token_time is not None:
        parts.append(f"{row.token_time:.2f} a token")
    if row.best_peer is not None:
        parts.append(f"{row.best_ratio:.2f}x {row.best_peer}")
    return ", ".join(parts)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _head(first: str, columns: list[str]) -> Iterator[str]:
    yield _line(first, *columns)
    yield "|" + "---|" * (len(columns) + 1)


def _line(*entries: str) -> str:
    return f"| {' | '.join(entries)} |"
