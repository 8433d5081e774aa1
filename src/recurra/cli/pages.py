"""Pages and pictures to files that a command names: whole or not at all."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.base.atomic import replacing, write_text
from recurra.cli.failures import UsageError
from recurra.cli.terminal import say

if TYPE_CHECKING:
    from recurra.base.contracts import Report
    from recurra.report import Chart, HeatMap


def page_to(text: str) -> Path:
    """The name of a page. Raises argparse's error for another ending, or a folder that is not there."""
    return _named(text, ".html")


def picture_to(text: str) -> Path:
    """The name of a picture, like `page_to`."""
    return _named(text, ".png")


def _named(text: str, suffix: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != suffix:
        raise argparse.ArgumentTypeError(f"expected a name that ends in {suffix}, got '{text}'")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder '{path.parent}'; make it, or choose another")
    return path


def write_page(
    path: Path, report: Report, *, charts: Sequence[Chart] = (), maps: Sequence[HeatMap] = (), about: str = "Attention"
) -> None:
    """The report as one HTML file, without scripts and without a reference to anything outside it.

    about: the heading over the maps
    """
    from recurra.report import html

    write_text(path, html(report, charts=charts, maps=maps, about=about))
    say(f"{path}: written.")


def write_picture(path: Path, *, charts: Sequence[Chart] = (), maps: Sequence[HeatMap] = ()) -> None:
    """Charts, or heat maps, one under the other. Raises UsageError where matplotlib is not installed."""
    from recurra.report import curves_png, heat_png

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = curves_png(charts) if charts else heat_png(maps)
        except ModuleNotFoundError:
            raise UsageError(f'--png {path}: matplotlib is not installed; pip install "recurra[plot]".') from None
    if any("Glyph" in str(warning.message) for warning in caught):
        say(f"{path}: some tokens hold characters that matplotlib's font lacks; --html has them.")
    with replacing(path) as file:
        file.write(content)
    say(f"{path}: written.")
