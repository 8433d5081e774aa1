"""`recurra inspect`: what goes on inside a model while it answers one text, or one series of a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.base.errors import DataError
from recurra.cli.arguments import Command, add_beside, add_cells, add_device, add_json, add_run, positive
from recurra.cli.failures import DONE, UsageError
from recurra.cli.heat import heat_lines
from recurra.cli.pages import page_to, picture_to, write_page, write_picture
from recurra.cli.progress import watching
from recurra.cli.show import text_table
from recurra.cli.terminal import one_line, printable, put, put_json, width
from recurra.cli.texts import fields_beside, readable

if TYPE_CHECKING:
    from recurra.api import Inspection, OpenRun
    from recurra.base.contracts import Record

BAR = 30


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="a text to answer")
    add_beside(parser)
    parser.add_argument("--input", metavar="FILE", help="a data file in place of TEXT, for series and sounds")
    parser.add_argument(
        "--row", metavar="N", type=positive, help="which row of --input, or which series, counted from 1 (default: 1)"
    )
    parser.add_argument("--html", metavar="FILE", type=page_to, help="write everything as one page")
    parser.add_argument("--png", metavar="FILE", type=picture_to, help="write the heat maps as a picture")
    add_device(parser)
    add_cells(parser)
    add_json(parser, "everything that was seen")


def _run(args: argparse.Namespace) -> int:
    if (args.text is None) == (args.input is None):
        raise UsageError("recurra inspect: expected either TEXT, or --input FILE.")
    if args.row is not None and args.input is None:
        raise UsageError("recurra inspect: --row says which row of --input FILE, and has no effect without one.")
    if args.beside and args.input is not None:
        raise UsageError("recurra inspect: --with stands beside TEXT; a file has a column for each field.")
    from recurra import api

    api.look_at_run(args.run)
    if args.input is not None:
        api.look_at_file(Path(args.input))
    run = api.open_run(args.run, args.cells)
    found = api.inspect(run, _asked(args, run) if args.input is None else _row(args, run), device=args.device)
    title = f"{args.run.resolve().name}: {one_line(found.text)}"
    if args.html:
        write_page(args.html, found.report(title), charts=found.charts, maps=found.pictures, about="Inside the model")
    if args.png:
        write_picture(args.png, maps=found.pictures)
    if args.json:
        put_json(_as_json(found))
    else:
        for line in _lines(found):
            put(line)
    return DONE


def _asked(args: argparse.Namespace, run: OpenRun) -> str | dict[str, str]:
    """The text, with what stands beside it."""
    names = [one.name for one in run.settings.plan.inputs]
    beside = fields_beside(args.beside, names)
    return {names[0]: args.text, **beside} if beside else str(args.text)


def _row(args: argparse.Namespace, run: OpenRun) -> Record:
    """The row of the file that is asked for. Raises DataError where the file has fewer."""
    from recurra import api

    number = args.row or 1
    with watching() as watch:
        rows = list(islice(api.source_for(run, args.input, watch=watch).records, number))
    if len(rows) < number:
        raise DataError(f"{args.input}: has {len(rows)} rows or series, and --row asks for number {number}.")
    return rows[-1]


def _lines(found: Inspection) -> Iterator[str]:
    yield readable(found.answer)
    yield f"\nWhat each {found.unit} adds to {one_line(found.meaning)}:"
    yield from _bars(found.tokens, found.saliency.steps)
    for table in (*found.tables, *([found.by_feature] if found.by_feature else ())):
        yield f"\n{text_table(table)}"
    if found.lines:
        yield "\n" + "\n".join(printable(line) for line in found.lines)
    for one in (*found.maps, *found.gates):
        yield f"\n{one_line(one.title)}"
        yield from heat_lines(one.rows, one.columns, one.weights)


def _bars(tokens: tuple[str, ...], steps: tuple[float, ...]) -> Iterator[str]:
    """`  +0.412  Cairo  ██████`: the longest bar is the largest share, whatever its sign."""
    names = [one_line(token) or "\u2423" for token in tokens]
    margin, largest = max(map(width, names)), max(map(abs, steps)) or 1.0
    for name, step in zip(names, steps, strict=True):
        bar = ("█" if step >= 0 else "░") * round(BAR * abs(step) / largest)
        yield f"  {step:+.3f}  {name}{' ' * (margin - width(name))}  {bar}".rstrip()


def _as_json(found: Inspection) -> dict[str, Any]:
    return {
        "answer": found.answer,
        "explains": found.meaning,
        "saliency": [{"token": t, "adds": s} for t, s in zip(found.tokens, found.saliency.steps, strict=True)],
        "parts": found.parts,
        "with_the_text": found.saliency.whole,
        "without": found.saliency.nothing,
        "maps": [
            {"title": one.title, "rows": one.rows, "columns": one.columns, "values": one.weights}
            for one in (*found.maps, *found.gates, *found.states)
        ],
        "tables": [{"title": t.caption, "columns": t.columns, "rows": t.rows} for t in found.tables],
        "tree": list(found.lines),
    }


COMMAND = Command(
    _arguments,
    _run,
    '  recurra inspect runs/first "what a film"\n'
    "  recurra inspect runs/bread --input bread.csv --row 2 --html south.html\n"
    '  recurra inspect runs/dates "4. März 2001" --html dates.html --png dates.png',
)
