"""From what an encoder makes of the past to each step of a forecast.

direct     all steps at once, by one small network that sees the past, and what is known of each step
decoder    a recurrent layer over the steps of the forecast, begun with the past
segments   a recurrent layer over pieces of the forecast, each begun with the past (SegRNN)
recursive  one step, which is read before the next one is said
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.forecasts.contract import ForecastHead
from recurra.models.forecasts.decoder import DecoderForecast
from recurra.models.forecasts.direct import DirectForecast
from recurra.models.forecasts.recursive import RecursiveForecast
from recurra.models.forecasts.segments import SegmentsForecast

FORECASTS: Registry[Callable[..., ForecastHead]] = Registry("forecast_head", "recurra.forecasts")
FORECASTS.add("direct", DirectForecast)
FORECASTS.add("decoder", DecoderForecast)
FORECASTS.add("segments", SegmentsForecast)
FORECASTS.add("recursive", RecursiveForecast)

__all__ = ["FORECASTS", "DecoderForecast", "DirectForecast", "ForecastHead", "RecursiveForecast", "SegmentsForecast"]
