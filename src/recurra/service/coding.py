"""The routes of runs whose rows become codes, and of those that score points of series."""

from __future__ import annotations

import base64
import binascii
import io
import math
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.responses import Response

from recurra.api.coding import CodedRows, coder_of, generate_rows, inpaint, writer_of
from recurra.api.compressing import compress, decompress
from recurra.api.detecting import Detected, DetectOptions, detect
from recurra.api.thresholds import StoredThreshold, threshold_of
from recurra.base.contracts import Origin, Record
from recurra.base.deadline import check_deadline
from recurra.base.errors import ConfigError
from recurra.data.formats import FORMATS, ReadOptions
from recurra.data.formats.lines import Lines
from recurra.service import coding_schemas as s
from recurra.service import limits as most
from recurra.service.errors import Json, RefusedError
from recurra.service.models import LoadedModel, chosen, records_of
from recurra.service.streams import Notes
from recurra.tasks import Codes, ScoresSteps, WritesFromCodes

if TYPE_CHECKING:
    from recurra.service.app import Service


def uses_of(served: LoadedModel) -> list[str]:
    """What a run's codes, or its scores of steps, are good for: between, generate, inpaint, compress, detect."""
    found = []
    if isinstance(served.run.task, WritesFromCodes):
        writer = writer_of(served.run, str(served.device))
        found = ["between", *(["generate"] if writer.is_distribution else [])]
    if isinstance(served.run.task, Codes):
        coder = coder_of(served.run, str(served.device))
        found += [*(["inpaint"] if coder.fills else []), "compress"]
    # Rows that were no windows of a series can be searched like one, and seldom should.
    watches = _scores_steps(served) and not (found and served.run.settings.data.layout is None)
    return [*found, *(["detect"] if watches else [])]


def _scores_steps(served: LoadedModel) -> bool:
    """Whether a run scores steps of series, as its task may by what it was trained on."""
    try:
        return isinstance(served.run.task, ScoresSteps) and served.run.task.judged is not None
    except ConfigError:
        return False


def add_coding(app: FastAPI, service: Service, responses: Any) -> None:
    """Add the routes."""
    _add_rows(app, service, responses)
    _add_files(app, service, responses)
    _add_scores(app, service, responses)


def _served_for(service: Service, name: str | None, able: type = Codes) -> LoadedModel:
    served = chosen(service.runs, name)
    if not isinstance(served.run.task, able):
        what = "codes" if able is WritesFromCodes else "codes of rows of numbers"
        raise RefusedError(409, f"model: a {served.word} has no {what}; an autoencoder's run does.")
    return served


def _add_rows(app: FastAPI, service: Service, responses: Any) -> None:
    """Rows from codes, and rows that are filled in."""

    @app.post("/generate_rows", response_model=s.Rows, responses=responses)
    async def generated(body: s.GenerateRowsRequest) -> Response:
        """Rows or texts that are drawn, or on the way between two; of each number what is expected."""
        served = _served_for(service, body.model, WritesFromCodes)
        between = None if body.between is None else records_of(served, None, body.between)
        given = body.model_dump(exclude_unset=True, exclude={"model", "between"})
        num = given.pop("number", None)
        how: dict[str, Any] = {**given, "num": num, "between": between, "device": str(served.device)}
        how["most_steps"] = most.MOST_STEPS
        found = await service.worker.ask(lambda: generate_rows(served.run, **how))
        return Json(_rows(served, found))

    @app.post("/inpaint", response_model=s.Rows, responses=responses)
    async def filled(body: s.InpaintRequest) -> Response:
        """Rows with what is said in the place of missing numbers, or of lines and columns that are hidden."""
        served, notes = _served_for(service, body.model), Notes()
        records = records_of(served, None, body.records)
        where = {
            name: given and (given[0], given[1]) for name, given in (("lines", body.lines), ("columns", body.columns))
        }
        how: dict[str, Any] = {**where, "device": str(served.device)}
        found = await service.worker.ask(lambda: inpaint(served.run, records, watch=notes, **how))
        service.metrics.answered(served.name, len(records))
        return Json(_rows(served, found) | {"notes": notes.sentences})


def _add_files(app: FastAPI, service: Service, responses: Any) -> None:
    """Rows as the content of a file, and back."""

    @app.post("/compress", response_model=s.Compressed, responses=responses)
    async def compressed(body: s.CompressRequest) -> Response:
        """Rows as codes of a few bits: the content of a file, which the same version of the run can read."""
        served = _served_for(service, body.model)
        records = records_of(served, None, body.records)
        how: dict[str, Any] = {"bits": body.bits, "beside": False, "device": str(served.device)}
        found = await service.worker.ask(lambda: compress(served.run, records, **how))
        content = {
            "model": served.name,
            "version": served.version,
            "data": base64.b64encode(found.content).decode("ascii"),
            "bits_a_value": found.bits_a_value,
            "error": found.error,
            "unrounded": found.unrounded,
        }
        return Json(content)

    @app.post("/decompress", response_model=s.Rows, responses=responses)
    async def decompressed(body: s.DecompressRequest) -> Response:
        """The rows of what /compress, or the command, has made with the same version of the run."""
        served = _served_for(service, body.model)
        try:
            data = base64.b64decode(body.data, validate=True)
        except (binascii.Error, ValueError):
            raise RefusedError(422, "data: expected base64.") from None
        how: dict[str, Any] = {"device": str(served.device), "most": most.MOST_RECORDS}
        how["most_steps"] = most.MOST_STEPS
        found = await service.worker.ask(lambda: decompress(served.run, data, **how))
        return Json(_rows(served, found))


def _add_scores(app: FastAPI, service: Service, responses: Any) -> None:
    """Scores of the points of series."""

    @app.post("/detect", response_model=s.Detected, responses=responses)
    async def detected(body: s.DetectRequest) -> Response:
        """A score for each point of series, higher is worse; and flags, where there is a threshold."""
        served, notes = chosen(service.runs, body.model), Notes()
        if not isinstance(served.run.task, ScoresSteps):
            raise RefusedError(409, f"model: a {served.word} scores no steps of series; one that forecasts does.")
        how: dict[str, Any] = {"options": _options(body), "device": str(served.device), "watch": notes}

        def scored() -> tuple[int, Detected]:
            rows = _series(body)  # in this thread too: a megabyte of CSV takes a second
            return len(rows), detect(served.run, rows, **how)

        number, found = await service.worker.ask(scored)
        service.metrics.answered(served.name, number)
        return Json(_scores(served, found, notes))


def _rows(served: LoadedModel, found: CodedRows) -> dict[str, Any]:
    """As JSON; pictures as lists of greys from 0 to 255."""
    return {
        "model": served.name,
        "version": served.version,
        "rows": found.rows,
        "pictures": None if found.pictures is None else found.pictures.tolist(),
        "filled": list(found.filled),
        "errors": found.errors,
        "notes": [],
    }


def _series(body: s.DetectRequest) -> list[Any]:
    """The rows of a request. Raises RefusedError, 422, for no or too many of them, DataError for a broken line."""
    if (body.csv is None) == (body.records is None):
        raise RefusedError(422, "csv, records: expected one of the two.")
    if body.records is not None:
        return [Record(one, Origin(f"records[{n}]")) for n, one in enumerate(body.records)]
    found = _rows_of_csv(body.csv or "")
    if not 1 <= len(found) <= most.MOST_POINTS:
        raise RefusedError(422, f"csv: expected a header and 1 to {most.MOST_POINTS:,} rows, got {len(found):,}.")
    return found


def _rows_of_csv(text: str) -> list[Record]:
    """Rows as those of a file are read. Raises DataError, with the line, for what a file may not hold."""
    rows = FORMATS["csv"].open(Lines(io.BytesIO(text.encode()), "csv"), ReadOptions())
    found: list[Record] = []
    while True:
        check_deadline()
        try:
            line, fields = rows.next_row()
        except StopIteration:
            return found
        found.append(Record(fields, line if isinstance(line, Origin) else Origin("csv", line.number)))


def _options(body: s.DetectRequest) -> DetectOptions:
    """Raises RefusedError, 422, where nothing says what is usual; RunError for a threshold that is none."""
    given = body.threshold
    threshold = threshold_of(given, "threshold") if isinstance(given, dict) else given
    if not isinstance(threshold, StoredThreshold) and body.clean is None:
        raise RefusedError(
            422,
            "clean: is missing: so many first steps of each series are taken for clean, and tell how large errors are; "
            "or give as threshold the JSON that `recurra detect --save` has written.",
        )
    return DetectOptions(threshold=threshold, clean=body.clean, smooth=body.smooth, causal=body.causal)


def _scores(served: LoadedModel, found: Detected, notes: Notes) -> dict[str, Any]:
    series = [
        {
            "name": one.name,
            "time": list(one.stamps),
            "values": {
                name: [None if math.isnan(x) else x for x in column.tolist()]
                for name, column in zip(one.columns, one.values.T, strict=True)
            },
            "scores": one.scores.tolist(),
            "flags": None if one.flags is None else one.flags.tolist(),
            "first": one.first,
        }
        for one in found.series
    ]
    value = None if found.threshold is None else found.threshold.value
    return {
        "model": served.name,
        "version": served.version,
        "series": series,
        "threshold": value,
        "notes": notes.sentences,
    }
