"""Thresholds as files: with what they were found by, so that none is used where it does not belong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recurra.api.places import read_json
from recurra.base.atomic import write_text
from recurra.base.digest import digest_of
from recurra.base.errors import ConfigError, RunError
from recurra.metrics.anomalies.thresholds import RULES
from recurra.tasks import WatchedSeries

if TYPE_CHECKING:
    from recurra.api.detecting import DetectOptions

FORMAT = 1
# What scores depend on besides, so that a threshold means something with these alone.
OPTIONS = ("window", "stride", "smooth", "causal")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredThreshold:
    """value: flagged above      rule: how it was found      source, clean: digests of what scores, and of clean data

    points: of clean data, that it was found by      usual: errors of a run there, by step of a window and column
    The rest are the options of the scores.
    """

    value: float
    rule: str
    source: str
    clean: str
    points: int
    smooth: int
    stride: int | None
    window: int | None
    causal: bool
    usual: list[list[float]] | None

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        import json

        write_text(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    def applied(self, options: DetectOptions) -> DetectOptions:
        """The options with those of the threshold. Raises ConfigError where others were given."""
        usual = {"smooth": 1, "causal": False}
        problems = [
            f"{name}: the threshold was found with {getattr(self, name)}, got "
            f"{getattr(options, name)}; leave it out, or find another threshold."
            for name in OPTIONS
            if getattr(options, name) not in (usual.get(name), getattr(self, name))
        ]
        if problems:
            raise ConfigError(problems)
        return replace(options, **{name: getattr(self, name) for name in OPTIONS})

    def usual_errors(self, span: int) -> NDArray[np.float64]:
        """(span, D). Raises RunError where there are none, or of other windows."""
        if self.usual is None or len(self.usual) != span:
            raise RunError("threshold: was found with a baseline, or a run of other windows; find one for this source.")
        return np.array(self.usual, np.float64)

    def refuse_other(self, source: bytes, path: str) -> None:
        """Raise RunError unless it was found with this source."""
        if self.source != source.hex():
            raise RunError(
                f"{path}: this threshold was found with another run, or a baseline of other clean data, whose scores "
                "are others. Find one for this source: --threshold quantile=0.999 --clean FILE --save FILE."
            )


def read_threshold(text: str | StoredThreshold | None) -> StoredThreshold | None:
    """A file of a threshold; None for a rule, such as quantile=0.999. Raises RunError for a file that is none."""
    if isinstance(text, StoredThreshold):
        return text
    if text is None or text.partition("=")[0] in RULES or not Path(text).is_file():
        return None
    return threshold_of(read_json(Path(text)), text)


def threshold_of(data: Any, text: str) -> StoredThreshold:
    """A threshold from its JSON. Raises RunError, which names `text`, for what is none."""
    try:
        return _checked(data)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{text}: expected a threshold as `recurra detect ... --save` writes it: {str(error)[:200]}."
        ) from None


def _checked(data: Any) -> StoredThreshold:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}, expected {FORMAT}")
    found = StoredThreshold(**{one.name: data[one.name] for one in fields(StoredThreshold)})
    numbers = [found.points, found.smooth, *(one for one in (found.stride, found.window) if one is not None)]
    if not all(type(one) is int and 1 <= one <= 2**40 for one in numbers) or type(found.causal) is not bool:
        raise ValueError("options of scores")
    if not (isinstance(found.value, int | float) and math.isfinite(found.value)):
        raise ValueError("its value is no number")
    if not all(isinstance(one, str) for one in (found.rule, found.source, found.clean)):
        raise ValueError("its rule and digests are no text")
    _check_usual(found.usual)
    return found


def _check_usual(usual: Any) -> None:
    """Raise ValueError for anything but rows of positive numbers, of one length."""
    if usual is None:
        return
    numbers = np.array(usual, np.float64)
    if numbers.ndim != 2 or not 1 <= numbers.size <= 10**7 or not (np.isfinite(numbers) & (numbers > 0)).all():
        raise ValueError("its usual errors are no positive numbers")


def digest_of_series(series: Sequence[WatchedSeries]) -> bytes:
    """Of names, stamps and values."""
    return digest_of(*(part for one in series for part in (one.name, one.moments, one.values)))
