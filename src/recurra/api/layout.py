"""Rows as the records that a config makes of them (`data.layout`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from recurra.api.schema import Settings
from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.config import build
from recurra.data.formats import BadRows
from recurra.data.group_splits import grouped_by
from recurra.data.layouts import LAYOUTS, Layout, Windows
from recurra.data.splits import SPLITS
from recurra.tasks import ReadsSteps


def layout_of(settings: Settings) -> Layout | None:
    """How rows make records; None where each is its own."""
    made: Layout | None = None if settings.data.layout is None else build(settings.data.layout, LAYOUTS)
    return made


def groups_of(settings: Settings) -> tuple[str, ...]:
    """The columns whose values data.split keeps together."""
    return () if settings.data.split is None else grouped_by(build(settings.data.split, SPLITS))


def fields_for(settings: Settings, fields: Sequence[str]) -> tuple[str, ...]:
    """What every row of a file must have, so that its records have these fields."""
    layout = layout_of(settings)
    if layout is None:
        return tuple(fields)
    made = layout.made(fields)
    return tuple(dict.fromkeys([*layout.columns, *(name for name in fields if name not in made)]))


def laid_out(
    rows: Iterable[Record],
    settings: Settings,
    bad_rows: BadRows,
    also: Sequence[str] = (),
    *,
    whole: bool = False,
    note: Callable[[str], object] | None = None,
) -> Iterator[Record]:
    """The records of rows; what makes none is refused as `bad_rows` says. also: other columns with a value a step

    whole: series that a layout cuts into windows stay whole
    note: hears, once all rows are read, how many of them are in no window
    """
    layout = layout_of(settings)
    if whole and isinstance(layout, Windows):
        layout = layout.whole
    if layout is None:
        yield from rows
        return
    plan = settings.plan
    steps = (*(plan.step_fields if isinstance(plan, ReadsSteps) else ()), *also)
    once = [name for name in (*plan.fields, *groups_of(settings)) if name not in steps]
    for one in layout.records(rows, steps, once):
        if isinstance(one, DataError):
            bad_rows.refuse(one)
        else:
            yield one
    if note is not None and isinstance(layout, Windows) and layout.left_out:
        are = counted(layout.left_out, "row is", "rows are")
        has = f"a window has {layout.length:,}"
        note(f"data.layout: {are} behind the last full window of a series, and left out; {has}.")
