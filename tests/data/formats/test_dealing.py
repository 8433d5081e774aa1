"""Several files that several ranks read: each its own, and all have the rows of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.data.formats import SkippedRows, dealing, read
from recurra.data.formats.bad_rows import BadRows
from recurra.data.formats.cursor import Cursor
from recurra.data.formats.dealing import Note, agreed, dealt
from recurra.data.formats.lines import Mark
from recurra.data.formats.shards import Shard


class Room:
    """Ranks that are threads: what one of them sends lies on a table, and all read it."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier, self.table = size, threading.Barrier(size), b""

    def seats(self, work: Callable[[Seat], Any]) -> list[Any]:
        """What each rank's work returns, or raises as DataError."""
        found: list[Any] = [None] * self.size

        def sit(number: int) -> None:
            try:
                found[number] = work(Seat(self, number))
            except DataError as error:
                found[number] = error

        threads = [threading.Thread(target=sit, args=(number,)) for number in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return found


class Seat:
    def __init__(self, room: Room, number: int) -> None:
        self._room, self.number, self.size = room, number, room.size

    def bytes_from(self, source: int, data: bytes | None) -> bytes:
        assert (data is not None) == (source == self.number)
        if data is not None:
            self._room.table = data
        self._room.barrier.wait(20)
        found = self._room.table
        self._room.barrier.wait(20)
        return found


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        Path(f"part-{number}.jsonl").write_text(
            "".join(
                f'{{"text": "row {number} {row} é \U0001f600", "n": [{row}, 0.1, null]}}\n' for row in range(number + 1)
            )
        )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that were opened to be read, on any rank."""
    names: list[str] = []
    here = Shard.here

    @contextmanager
    def noted(shard: Shard, scratch: str | None = None) -> Iterator[Path]:
        names.append(shard.name)
        with here(shard, scratch) as path:
            yield path

    monkeypatch.setattr(Shard, "here", noted)
    return names


@pytest.mark.parametrize("number", [2, 3, 7])
def test_all_ranks_have_the_rows_of_one_process_and_each_file_is_read_once(
    parts: None, opened: list[str], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = list(read("part-*", format="jsonl"))
    assert len(alone) == 15
    del opened[:]
    monkeypatch.setattr(dealing, "PIECE", 7)  # bytes: lines and characters are torn
    found = Room(number).seats(lambda seat: list(read("part-*", format="jsonl", exchange=seat)))
    assert found == [alone] * number
    assert sorted(opened) == [f"part-{place}.jsonl" for place in range(5)]


def test_a_row_of_many_pieces_is_joined_once(parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []

    class Piece(bytes):
        """Counts the bytes that stand in front of it where it is added to others."""

        def __radd__(self, begun: bytes) -> bytes:
            copied.append(len(begun))
            return begun.__add__(self)

    class Counting(Seat):
        def bytes_from(self, source: int, data: bytes | None) -> bytes:
            return Piece(super().bytes_from(source, data))

    Path("part-0.jsonl").write_text(f'{{"text": "{"long " * 2000}"}}\n')
    monkeypatch.setattr(dealing, "PIECE", 100)
    alone = list(read("part-*", format="jsonl"))
    room = Room(2)
    found = room.seats(lambda seat: list(read("part-*", format="jsonl", exchange=Counting(room, seat.number))))
    assert found == [alone] * 2
    assert sum(copied) < 20_000  # bytes: the row has 10,000, and half a million were copied


def test_a_broken_row_stops_all_ranks_with_the_first_of_the_rows_order(parts: None) -> None:
    Path("part-1.jsonl").write_text('{"text": "good"}\n{"text"\n')
    Path("part-2.jsonl").write_text("{\n")
    with pytest.raises(DataError) as alone:
        list(read("part-*", format="jsonl"))
    said = Room(2).seats(lambda seat: list(read("part-*", format="jsonl", exchange=seat)))
    assert str(alone.value).startswith("part-1.jsonl:2: ")
    assert list(map(str, said)) == [str(alone.value)] * 2


def test_rows_that_are_skipped_are_counted_on_all_ranks(parts: None) -> None:
    Path("part-1.jsonl").write_text('{"text": "good"}\n{"text"\n')
    Path("part-3.jsonl").write_text("{\n")

    def work(seat: Seat | None) -> tuple[int, int, tuple[str, ...]]:
        bad = SkippedRows()
        rows = list(read("part-*", format="jsonl", bad_rows=bad, exchange=seat))
        return len(rows), bad.count, bad.examples

    alone = work(None)
    assert alone[:2] == (10, 2)
    assert Room(2).seats(work) == [alone] * 2


def test_a_missing_column_of_a_rank_s_own_file_is_said_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("text;label\nx;y\n")
    Path("b.csv").write_text("text;kind\nx;y\n")
    notes: list[str] = []
    said = Room(2).seats(lambda seat: list(read("*.csv", fields=("label",), note=notes.append, exchange=seat)))
    assert [str(one) for one in said] == ["b.csv:1: no column 'label'. Columns: text, kind."] * 2
    assert [note.partition(": ")[0] for note in notes] == ["a.csv"] * 2  # of each rank, of the first file alone


def test_a_shard_whose_values_cannot_be_sent_is_read_by_all_ranks() -> None:
    reads: list[tuple[int, str]] = []

    def work(seat: Seat) -> list[Record]:
        def records(shard: Shard, bad: BadRows, note: Note) -> Iterator[Record]:
            reads.append((seat.number, shard.name))
            values: Any = {"a": [("x", "y"), b"bytes"], "b": [("x", "y"), "z"]}[shard.name]
            for line, value in enumerate(values, start=1):
                yield Record({"it": value}, Origin(f"{shard.name}/inside", line))

        return list(dealt([Shard("a", 1), Shard("b", 1)], records, SkippedRows(), lambda _: None, seat))

    first, second = Room(2).seats(work)
    assert first == second
    assert [(record.fields["it"], str(record.origin)) for record in first] == [
        (("x", "y"), "a/inside:1"), (b"bytes", "a/inside:2"), (("x", "y"), "b/inside:1"), ("z", "b/inside:2")
    ]  # fmt: skip
    assert sorted(reads) == [(0, "a"), (0, "a"), (1, "a"), (1, "b")]


def test_a_mark_that_leads_to_no_good_row_leads_to_none_of_the_next_file() -> None:
    def work(seat: Seat) -> list[Mark | None]:
        cursor = Cursor()

        def records(shard: Shard, bad: BadRows, note: Note) -> Iterator[Record]:
            for line in (1, 2):
                cursor.put(Mark(line, line, near=True) if shard.name == "a" else None)
                yield Record({"it": 0}, Origin(shard.name, line))

        given = dealt([Shard("a", 1), Shard("b", 1)], records, SkippedRows(), lambda _: None, seat, cursor=cursor)
        # Of "a" the second row is found to be bad by who reads the records, and asks for no mark.
        return [cursor.taken() for record in given if str(record.origin) != "a:2"]

    assert Room(2).seats(work) == [[Mark(1, 1, near=True), None, None]] * 2


def test_records_that_several_rows_make_keep_where_these_stood_on_all_ranks() -> None:
    made = Record({"label": "x"}, Origin("a", 1), (Origin("a", 1), Origin("a", 2)))

    def work(seat: Seat) -> list[Record]:
        return list(dealt([Shard("a", 1)], lambda *_: iter([made]), SkippedRows(), lambda _: None, seat))

    assert Room(2).seats(work) == [[made]] * 2


def test_ranks_that_find_other_files_do_not_begin(parts: None) -> None:
    def work(seat: Seat) -> list[Record]:
        shards = [Shard(f"part-{k}.jsonl", 10 + (seat.number and k == 1)) for k in range(2)]
        return list(dealt(shards, lambda *_: iter(()), SkippedRows(), lambda _: None, seat))

    first, second = _one_refuses(work)
    assert first == "waits"
    assert str(second) == (
        "part-0.jsonl: rank 1 finds 2 files, and they are not those of rank 0, which finds 2. All hosts need the same "
        "files."
    )


def _one_refuses(work: Callable[[Seat], list[Record]]) -> list[Any]:
    """The second rank raises; the first one would wait for it until the group is told that it is gone."""
    room = Room(2)

    def sit(seat: Seat) -> Any:
        try:
            return work(seat)
        except threading.BrokenBarrierError:
            return "waits"
        finally:
            if seat.number:
                room.barrier.abort()

    return room.seats(sit)


def test_what_the_first_rank_finds_is_what_all_take() -> None:
    found = Room(2).seats(lambda seat: agreed(seat, lambda: (f"format {seat.number}", "why")))
    assert found == [("format 0", "why")] * 2
    assert agreed(None, lambda: ("csv", "")) == ("csv", "")
