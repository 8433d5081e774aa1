"""Data sets that are on every machine, with no download.

dataset   the contract, the registry EMBEDDED, `write_csv`
names     which language is this name?
dates     which day is this? date_forms: how forty languages write one, and what a text can mean
quantities  where are the dates and the numbers in a list of things?
questions  which part of the language reference answers this?
topics    what comes next in the language reference of Python?
machine   which hours of a machine are unusual?
series    what follows? sunspots by year, carbon dioxide by week, passengers by month
speech    which numbers are said?
shapes    what is in the picture?
gestures  which movement is it?
locales   what CLDR says of a language

A new set is one file that makes an `EmbeddedSet`, and one line below.
"""

from __future__ import annotations

from recurra.data.embedded.dataset import EMBEDDED, EmbeddedSet, write_csv
from recurra.data.embedded.dates import DATES_SET
from recurra.data.embedded.gestures import GESTURES_SET
from recurra.data.embedded.machine import MACHINE_SET
from recurra.data.embedded.names import NAMES_SET
from recurra.data.embedded.quantities import QUANTITIES_SET
from recurra.data.embedded.questions import QUESTIONS_SET
from recurra.data.embedded.series import AIRLINE_SET, CO2_SET, SUNSPOTS_SET
from recurra.data.embedded.shapes import SHAPES_SET
from recurra.data.embedded.speech import SPEECH_SET
from recurra.data.embedded.topics import TOPICS_SET

__all__ = ["EMBEDDED", "EmbeddedSet", "write_csv"]

EMBEDDED.add("names", NAMES_SET)
EMBEDDED.add("dates", DATES_SET)
EMBEDDED.add("quantities", QUANTITIES_SET)
EMBEDDED.add("topics", TOPICS_SET)
EMBEDDED.add("questions", QUESTIONS_SET)
EMBEDDED.add("co2", CO2_SET)
EMBEDDED.add("sunspots", SUNSPOTS_SET)
EMBEDDED.add("airline", AIRLINE_SET)
EMBEDDED.add("machine", MACHINE_SET)
EMBEDDED.add("speech", SPEECH_SET)
EMBEDDED.add("shapes", SHAPES_SET)
EMBEDDED.add("gestures", GESTURES_SET)
