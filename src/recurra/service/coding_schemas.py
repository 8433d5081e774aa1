"""Bodies of requests and answers about codes of rows, and scores of points."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, JsonValue

from recurra.service import limits as most
from recurra.service.schemas import WHOLE, Body, Name, Value, Version

Cells = dict[Annotated[str, Field(max_length=most.LONGEST_NAME)], Value]
Records = Annotated[
    list[Cells], Field(min_length=1, max_length=most.MOST_RECORDS, description="named fields, as a row of a file")
]
Place = Annotated[int, Field(ge=1, le=most.MOST_STEPS), WHOLE]
Places = Annotated[
    list[Place], Field(min_length=2, max_length=2, description="from one place to another, from 1, both among them")
]


class GenerateRowsRequest(Body):
    """Rows to draw, or two rows to go between."""

    model: Name | None = None
    number: Annotated[int, Field(ge=1, le=most.MOST_RECORDS, description="rows to draw"), WHOLE] = 1
    temperature: Annotated[float, Field(ge=0, le=most.HOTTEST, description="deviation of the codes")] = 1.0
    seed: Annotated[int, Field(ge=0, le=most.LARGEST_SEED, description="the same one, the same rows"), WHOLE] = 0
    length: Annotated[int, Field(ge=1, le=most.MOST_STEPS, description="steps of a series, or tokens"), WHOLE] = 1
    between: Annotated[list[Cells], Field(min_length=2, max_length=2, description="two rows")] | None = None
    steps: Annotated[int, Field(ge=2, le=most.MOST_RECORDS, description="rows of the way, both ends too"), WHOLE] = 9
    path: Annotated[str, Field(pattern="^(linear|spherical)$", description="straight, or on a great circle")] = "linear"


class Rows(BaseModel):
    """Rows, by column, in the units of the data."""

    model: str
    version: Version
    rows: list[dict[str, Any]]
    pictures: Annotated[
        list[list[list[int]]] | None, Field(description="of rows that are pictures, greys from 0 to 255, by lines")
    ]
    filled: Annotated[list[int], Field(description="of each row, how many numbers were filled in")]
    errors: Annotated[dict[str, float], Field(description="mean squared errors of what was hidden, in scaled units")]
    notes: list[str]


class InpaintRequest(Body):
    """Rows in which numbers are null, or places that are hidden in each."""

    model: Name | None = None
    records: Records
    lines: Places | None = None
    columns: Places | None = None


class CompressRequest(Body):
    """Rows, and bits of each number of a code."""

    model: Name | None = None
    records: Records
    bits: Annotated[int, Field(ge=1, le=24), WHOLE] = 8


class Compressed(BaseModel):
    """Rows as codes."""

    model: str
    version: Version
    data: Annotated[str, Field(description="the content of a file, in base64")]
    bits_a_value: Annotated[float, Field(description="of the whole file, for each number of the rows")]
    error: Annotated[float, Field(description="mean squared error of what comes back, in scaled units")]
    unrounded: Annotated[float, Field(description="the same of codes that are not rounded")]


class DecompressRequest(Body):
    """What /compress has answered as `data`."""

    model: Name | None = None
    data: Annotated[str, Field(min_length=1, max_length=most.LONGEST_DATA, description="base64")]


class DetectRequest(Body):
    """Series with a row a step: as the text of a CSV file, or as records; one of the two."""

    model: Name | None = None
    csv: Annotated[str, Field(max_length=most.LONGEST_DATA)] | None = None
    records: Annotated[list[Cells], Field(min_length=1, max_length=most.MOST_POINTS)] | None = None
    clean: (
        Annotated[
            int, Field(ge=1, le=most.MOST_POINTS, description="first steps of each series that have no anomaly"), WHOLE
        ]
        | None
    ) = None
    threshold: (
        Annotated[
            str,
            Field(
                pattern=r"^(quantile|alarms|tail|value)=[0-9.eE+-]{1,30}$",
                description="quantile=0.999 of clean scores, alarms=0.5 a day, tail=0.0001, value=3",
            ),
        ]
        | Annotated[dict[str, JsonValue], Field(description="the JSON that `recurra detect --save` has written")]
        | None
    ) = None
    smooth: Annotated[int, Field(ge=1, le=most.MOST_POINTS, description="scores are means of so many steps"), WHOLE] = 1
    causal: Annotated[bool, Field(description="no score waits for a later point")] = False


class DetectedSeries(BaseModel):
    """A series with its scores. first: the first step that is scored"""

    name: str
    time: list[str | int]
    values: dict[str, list[float | None]]
    scores: Annotated[list[float], Field(description="higher is worse")]
    flags: list[bool] | None
    first: int


class Detected(BaseModel):
    """All series of a request."""

    model: str
    version: Version
    series: list[DetectedSeries]
    threshold: Annotated[float | None, Field(description="flagged above")]
    notes: list[str]
