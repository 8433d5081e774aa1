"""Which hours are unusual? The temperature of a machine that was made up, by the hour, with faults to find."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from random import Random

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet

START, HOURS = datetime(2024, 1, 1), {"train": 24 * 84, "watched": 24 * 42}
# Of the watched hours: first, last, and what happens.
FAULTS = ((130, 135, "spike"), (300, 329, "drift"), (500, 547, "still"), (700, 711, "noise"), (870, 893, "night"))


@cache
def _rows(split: str) -> tuple[tuple[str, str, str], ...]:
    """(stamp, temperature, 0 or 1) of each hour; the watched weeks follow those of train."""
    rng = Random(2024)  # noqa: S311 no secret, but the same hours everywhere
    first = 0 if split == "train" else HOURS["train"]
    drawn = [rng.gauss(0.0, 1.0) for _ in range(sum(HOURS.values()))]
    slow, found = 0.0, []
    for hour in range(first + HOURS[split]):
        slow = 0.97 * slow + 0.15 * drawn[hour]
        if hour < first:
            continue
        value, fault = _usual(hour, slow) + 0.4 * drawn[-1 - hour], _fault(hour - first if first else -1)
        if fault:
            value = _faulty(fault[2], hour - first - fault[0], value, drawn[hour // 2], _usual(hour + 12, slow))
        stamp = START + timedelta(hours=hour)
        found.append((f"{stamp:%Y-%m-%d %H:%M:%S}", f"{value:.2f}", str(int(bool(fault)))))
    return tuple(found)


def _usual(hour: int, slow: float) -> float:
    """Warm in working hours."""
    load = max(0.0, math.sin(2 * math.pi * (hour % 24 - 6) / 24))
    return 40 + 18 * load + slow


def _fault(hour: int) -> tuple[int, int, str] | None:
    return next((one for one in FAULTS if one[0] <= hour <= one[1]), None)


def _faulty(kind: str, since: int, value: float, noise: float, other: float) -> float:
    """night: the hours of a day and a night change places."""
    return {
        "spike": value + 12,
        "drift": value + 0.35 * since,
        "still": 44.0,
        "noise": value + 5 * noise,
        "night": other,
    }[kind]


def _records(split: str) -> Iterator[Record]:
    for number, (stamp, value, odd) in enumerate(_rows(split), start=1):
        fields = {"time": stamp, "temperature": value, "anomaly": odd}
        yield Record(fields, Origin(f"machine/{split}", number))


MACHINE_SET = EmbeddedSet(
    description="which hours are unusual? the temperature of a machine by the hour, made up, with five faults to find",
    licence="made up for recurra, Apache-2.0",
    columns=("time", "temperature", "anomaly"),
    splits=("train", "watched"),
    load=_records,
    size=lambda split: HOURS[split],
)
