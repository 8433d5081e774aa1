"""Thresholds from scores of clean data: a point is flagged where its score is above.

quantile   as many clean points as one minus the quantile lie above
alarms     so many alarms a day on clean data; points that are flagged one after the other are one alarm
tail       a clean point lies above with this probability, by a generalised Pareto distribution of what exceeds a high
           quantile; it reaches further than the data (Siffer et al. 2017, KDD, section 3.2)
value      as given
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError, did_you_mean

Floats = NDArray[np.float64]
# Above this quantile lies the tail, as Siffer et al. take it; fewer exceedances than that are no distribution.
TAIL, FEWEST = 0.98, 10


@dataclass(frozen=True, slots=True)
class Rule:
    """How a threshold is found. word: of RULES      setting: its number"""

    word: str
    setting: float

    @classmethod
    def of(cls, text: str) -> Rule:
        """From "quantile=0.999". Raises ConfigError for another word, or a number out of its range."""
        word, _, number = text.partition("=")
        if word not in RULES:
            known = ", ".join(f"{name}={one.example}" for name, one in RULES.items())
            raise ConfigError(
                f"threshold: unknown word '{word}'.{did_you_mean(word, RULES)} Expected one of {known}; or a file of "
                "thresholds that `--save` has written."
            )
        try:
            setting = float(number)
        except ValueError:
            setting = float("nan")
        kind = RULES[word]
        if not kind.low < setting < kind.high:
            raise ConfigError(
                f"threshold: {word} expects a number between {kind.low:g} and {kind.high:g}, such as "
                f"{word}={kind.example}; got '{number}'."
            )
        return cls(word, setting)

    def __str__(self) -> str:
        return f"{self.word}={self.setting:g}"

    def value(self, clean: Sequence[Floats], steps_a_day: float | None) -> float:
        """The threshold. clean: scores of each series (T,)      steps_a_day: None where stamps are no dates

        Raises DataError where the clean data cannot tell it.
        """
        return RULES[self.word].find(clean, self.setting, steps_a_day)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to find a threshold. low, high: bounds of its number, both excluded"""

    find: Callable[[Sequence[Floats], float, float | None], float]
    low: float
    high: float
    example: str


def by_quantile(clean: Sequence[Floats], level: float, steps_a_day: float | None) -> float:
    """The smallest clean score at or above the quantile. Raises DataError where fewer points than one lie above."""
    joined = np.concatenate(clean)
    if len(joined) * (1 - level) < 1:
        raise DataError(
            f"threshold: {len(joined):,} clean points tell no quantile {level:g}: less than one lies above it. Give "
            "more clean data, or take tail=, which reaches further than the data."
        )
    return float(np.quantile(joined, level, method="higher"))


def by_alarms(clean: Sequence[Floats], rate: float, steps_a_day: float | None) -> float:
    """The smallest threshold from which on there are at most so many alarms a day, at every higher one too."""
    if steps_a_day is None:
        raise DataError("threshold: alarms= counts by the day, and the stamps are no dates; take quantile= or tail=.")
    days = sum(map(len, clean)) / steps_a_day
    allowed = rate * days
    if allowed < 1:
        raise DataError(
            f"threshold: {days:,.1f} days of clean data tell no rate of {rate:g} alarms a day: less than one alarm is "
            "expected. Give more clean data, or take tail=, which reaches further than the data."
        )
    before = np.concatenate([np.r_[-np.inf, one[:-1]] for one in clean if len(one)])
    here = np.concatenate(clean)
    rises = here > before  # an alarm begins here at every threshold from `before` up to `here`
    values = np.unique(here)
    alarms = len(before[rises]) - np.searchsorted(np.sort(here[rises]), values, "right")
    alarms -= int(rises.sum()) - np.searchsorted(np.sort(before[rises]), values, "right")
    if len(values) == 1:
        raise DataError(
            f"threshold: all {len(here):,} clean scores are {values[0]:.6g}, so that no threshold has an alarm; give "
            "clean data that changes, or take value=."
        )
    too_many = np.flatnonzero(alarms > allowed)
    if not len(too_many):
        raise DataError(
            f"threshold: at no threshold has clean data more than {alarms.max() / days:,.1f} alarms a day; take a rate "
            f"below that, got {rate:g}."
        )
    return float(values[too_many[-1] + 1])


def by_tail(clean: Sequence[Floats], risk: float, steps_a_day: float | None) -> float:
    """z with P(score > z) = risk: t + sigma / gamma ((risk n / N)^-gamma - 1), by the N of n scores above t.

    Raises DataError where too few of them lie above, or the risk is no tail.
    """
    joined = np.concatenate(clean)
    start = float(np.quantile(joined, TAIL))
    above = joined[joined > start] - start
    if len(above) < FEWEST:
        raise DataError(
            f"threshold: tail= needs {FEWEST} clean scores above their quantile {TAIL:g}, got {len(above)} of "
            f"{len(joined):,}. Give more clean data, or take quantile=."
        )
    share = risk * len(joined) / len(above)
    if share >= 1:
        raise DataError(f"threshold: tail={risk:g} lies below the tail, which begins at {1 - TAIL:g}; take quantile=.")
    gamma, sigma = pareto(above)
    reach = -np.log(share) if abs(gamma) < 1e-8 else (share**-gamma - 1) / gamma
    return float(start + sigma * reach)


def pareto(above: Floats) -> tuple[float, float]:
    """Shape gamma and scale sigma of the generalised Pareto distribution of the greatest likelihood, gamma above -1/2.

    above: (N,) positive. With x = gamma / sigma the likelihood is one of x alone: gamma = mean log(1 + x y), and
    the mean log density is -log(gamma / x) - gamma - 1 (Grimshaw 1993, Technometrics 35(2)); on a grid, then finer.
    """
    size, highest = float(above.mean()), float(above.max())
    # To -1/max the density is bounded; far above 1/mean the shape is greater than any that has a mean.
    grid = np.unique(np.r_[-np.geomspace(1e-6, 1 - 1e-6, 200) / highest, np.geomspace(1e-6, 1e3, 400) / size])
    best, _ = _profile(above, grid)
    for _ in range(4):
        k = int(np.clip(np.argmax(best), 1, len(grid) - 2))
        grid = np.linspace(grid[k - 1], grid[k + 1], 41)
        grid = grid[grid != 0]
        best, shapes = _profile(above, grid)
    k = int(np.argmax(best))
    if best[k] <= -np.log(size) - 1:  # the exponential distribution, where x goes to 0
        return 0.0, size
    return float(shapes[k]), float(shapes[k] / grid[k])


def _profile(above: Floats, grid: Floats) -> tuple[Floats, Floats]:
    """The mean log density at each x, -inf for shapes at or below -1/2 (no regular maximum), and the shape."""
    shapes = np.array([np.log1p(x * above).mean() for x in grid])
    found = np.where(shapes > -0.5, -np.log(shapes / grid) - shapes - 1, -np.inf)
    return found, shapes


def as_given(clean: Sequence[Floats], value: float, steps_a_day: float | None) -> float:
    """The number itself."""
    return value


RULES: Final[Mapping[str, Kind]] = {
    "quantile": Kind(by_quantile, 0.0, 1.0, "0.999"),
    "alarms": Kind(by_alarms, 0.0, 1e6, "0.5"),
    "tail": Kind(by_tail, 0.0, 0.02, "0.0001"),
    "value": Kind(as_given, -np.inf, np.inf, "3"),
}
