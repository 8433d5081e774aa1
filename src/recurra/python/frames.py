"""A data frame with answers in columns of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from recurra.api.answers import Answered, Columns, answered, columns_of
from recurra.api.folder import OpenRun
from recurra.api.given import records_of
from recurra.api.layout import laid_out
from recurra.base.contracts import Listener
from recurra.cli.tables import NOTE, rows_of
from recurra.data.formats import StopAtBadRow
from recurra.python.rows import rows_of_frame

Ask = Callable[[Iterable[Any]], Iterator[Answered]]


def with_answers(frame: Any, run: OpenRun, ask: Ask, watch: Listener) -> Any:
    """The frame, of its own library, with the columns of the answers behind its own; names that are taken get a number.

    frame: of narwhals
    """
    import narwhals as nw

    columns = columns_of(run, watch=watch)
    if columns.kind == "forecast":
        return _forecasts(frame, run, ask, columns)
    rows = list(rows_of(ask(rows_of_frame(frame)), columns, as_table=False))
    names = list(dict.fromkeys(chain.from_iterable(rows))) or _usual(run, columns)
    added = [name for name in names if name not in frame.columns]
    made = (nw.new_series(name, [row.get(name) for row in rows], backend=frame.implementation) for name in added)
    return frame.with_columns(*made).to_native()


def _forecasts(frame: Any, run: OpenRun, ask: Ask, columns: Columns) -> Any:
    """A frame of the same library with a row for each step to come; the given frame's rows are as in a file."""
    import narwhals as nw

    records = records_of(rows_of_frame(frame), run.settings.plan.inputs[0].name)
    rows = list(rows_of(ask(laid_out(records, run.settings, StopAtBadRow())), columns, as_table=False))
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    made = {name: [row.get(name) for row in rows] for name in names}
    return nw.from_dict(made, backend=frame.implementation).to_native()


def _usual(run: OpenRun, columns: Columns) -> list[str]:
    """The columns of any answer: those of a frame without rows."""
    (one,) = answered(run, [""])
    return [name for name in columns.of(one) if name != NOTE]
