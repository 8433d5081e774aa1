"""Forecasts: what follows the last step of a series, or of many, with intervals.

config     what a config says            task      the verbs
series     a record on its grid          beside    what is known beside the targets, as numbers
windows    a cut, and both sides of it   sampler   which windows make which batch
scaling    levels and sizes              fitted    what is learned before the first cut
naive      forecasts that cost nothing   conformal intervals by errors on dev
columns sizing   what init chooses       baselines tables explain   for reports and inspect
"""

from __future__ import annotations

from recurra.tasks.forecasting.config import ForecastingConfig
from recurra.tasks.forecasting.task import Forecasting

__all__ = ["Forecasting", "ForecastingConfig"]
