"""What follows? Sunspots of three centuries, and the carbon dioxide over Mauna Loa: files of the package statsmodels.

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
