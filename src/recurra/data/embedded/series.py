"""What follows? Sunspots of three centuries, and the carbon dioxide over Mauna Loa: files of the package statsmodels;
and passengers of airlines, month by month, which are written out here.

The files are read where the package lies; the package itself is not imported, which would take seconds.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.data.embedded.dataset import EmbeddedSet

# Every step of a series is in one file: a forecast is cut in time.
SPLITS = ("train",)

# Thousands of passengers on international flights, a year a line, 1949 to 1960: Brown 1962, series G of Box & Jenkins
# 1976, Time series analysis.
_PASSENGERS = """
112 118 132 129 121 135 148 148 136 119 104 118
115 126 141 135 125 149 170 170 158 133 114 140
145 150 178 163 172 178 199 199 184 162 146 166
171 180 193 181 183 218 230 242 209 191 172 194
196 196 236 235 229 243 264 272 237 211 180 201
204 188 235 227 234 264 302 293 259 229 203 229
242 233 267 269 270 315 364 347 312 274 237 278
284 277 317 313 318 374 413 405 355 306 271 306
315 301 356 348 355 422 465 467 404 347 305 336
340 318 362 348 363 435 491 505 404 359 310 337
360 342 406 396 420 472 548 559 463 407 362 405
417 391 419 461 472 535 622 606 508 461 390 432
"""
AIRLINE = tuple(_PASSENGERS.split())


def _file(data_set: str) -> Path:
    """The file of a set. Raises ConfigError where the package is missing."""
    spec = importlib.util.find_spec("statsmodels")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "datasets" / data_set / f"{data_set}.csv"
        if path.is_file():
            return path
    raise ConfigError(
        f'the data set {data_set} needs the package statsmodels. Install it with `pip install "recurra[forecast]"`.'
    )


@cache
def _rows(data_set: str) -> tuple[tuple[str, str], ...]:
    """(stamp, number) of each step."""
    with open(_file(data_set), encoding="utf-8", newline="") as file:
        return tuple((row[0], row[1]) for row in list(csv.reader(file))[1:])


def _set(data_set: str, column: str, description: str, stamp: Callable[[str], str]) -> EmbeddedSet:
    def load(split: str) -> Iterator[Record]:
        for number, (moment, value) in enumerate(_rows(data_set), start=1):
            yield Record({"date": stamp(moment), column: value}, Origin(f"{data_set}/{split}", number))

    return EmbeddedSet(
        description=description,
        licence="public domain",
        columns=("date", column),
        splits=SPLITS,
        load=load,
        size=lambda split: len(_rows(data_set)),
    )


def _airline(split: str) -> Iterator[Record]:
    for k, value in enumerate(AIRLINE):
        month = f"{1949 + k // 12}-{k % 12 + 1:02d}"
        yield Record({"month": month, "passengers": value}, Origin(f"airline/{split}", k + 1))


AIRLINE_SET = EmbeddedSet(
    description="what follows? thousands of passengers by month, 1949 to 1960 (Box & Jenkins 1976, series G)",
    licence="published facts",
    columns=("month", "passengers"),
    splits=SPLITS,
    load=_airline,
    size=lambda split: len(AIRLINE),
)
SUNSPOTS_SET = _set(
    "sunspots",
    "sunspots",
    "what follows? sunspots by year, 1700 to 2008, from NOAA's National Geophysical Data Center, through statsmodels",
    lambda year: f"{int(float(year)):04d}-01-01",
)
CO2_SET = _set(
    "co2",
    "co2",
    "what follows? carbon dioxide over Mauna Loa by week, 1958 to 2001 (Keeling & Whorf 2004), through statsmodels",
    lambda day: f"{day[:4]}-{day[4:6]}-{day[6:]}",
)
