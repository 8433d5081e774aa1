"""Windows of series: what is read before a cut, and what is to be said behind it, gathered from one array.

Nothing of a window's inputs is taken from its cut on, but for what is known of the future by its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.data.calendar import Clock
from recurra.tasks.forecasting.scaling import Scaling, moments

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """Series one behind the other, each with room for one forecast at its end.

    values: (S, D), NaN where nothing was observed, and behind the end
    known: (S, G) what is known of the future too: calendar, columns; scaled      past: (S, P)
    offsets, lengths: (N,) where each begins, and its steps      static: (N, E)      categories: (N, K)
    shift, scale, deviation: (N, D) of whole series, before what is to be forecast
    """

    values: Floats
    known: NDArray[np.float32]
    past: NDArray[np.float32]
    offsets: Ints
    lengths: Ints
    static: NDArray[np.float32]
    categories: Ints
    shift: Floats
    scale: Floats
    deviation: Floats
    names: tuple[str, ...]
    clocks: tuple[Clock, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """How windows are read.

    context: steps that are read, at most      horizon: steps of a forecast      lags: steps back to values beside
    season: steps until what is seen repeats      base: what a forecast is a difference from
    differences: whether the difference from the step before is read in place of each value
    whole: whether the scale is that of the whole series before its first cut
    """

    context: int
    horizon: int
    lags: tuple[int, ...]
    season: int
    scaling: Scaling
    whole: bool
    base: str
    masked: bool
    differences: bool = False


@dataclass(frozen=True, slots=True)
class Gathered:
    """Windows as arrays.

    features: (L, N, F) float32, zero where padded      future: (h, N, G) float32      lengths: (N,)
    shift, scale: (N, D)      base: (N, h, D) in scaled units      truth: (N, h, D) as the data has it, NaN if unknown
    """

    features: NDArray[np.float32]
    future: NDArray[np.float32]
    categories: Ints
    lengths: Ints
    shift: Floats
    scale: Floats
    base: Floats
    truth: Floats

    @property
    def scaled_truth(self) -> Floats:
        """(N, h, D) what the model is to say."""
        return (self.truth - self.shift[:, None]) / self.scale[:, None] - self.base


def gathered(store: Store, series: Ints, cuts: Ints, how: Reading, angles: Floats | None = None) -> Gathered:
    """The windows of these series before these cuts, all at once. angles: (N,) by which positions x, y are turned"""
    lengths = np.minimum(cuts, how.context)
    L = int(lengths.max(initial=0))
    first = store.offsets[series]
    steps = (cuts - lengths)[:, None] + np.arange(L)  # (N, L), from the beginning of a series
    real = np.arange(L) < lengths[:, None]
    rows = np.where(real, first[:, None] + steps, 0)
    values = turned(np.where(real[..., None], store.values[rows], np.nan), angles)
    shift, scale = (store.shift[series], store.scale[series]) if how.whole else moments(values, how.scaling)
    scaled = (values - shift[:, None]) / scale[:, None]
    ahead = cuts[:, None] + np.arange(how.horizon)  # (N, h)

    def at(steps: Ints) -> Floats:
        return (turned(_values_at(store, first, steps, cuts), angles) - shift[:, None]) / scale[:, None]

    lagged = [at(steps - lag) for lag in how.lags]
    lagged_ahead = [at(_before(ahead, cuts, lag)) for lag in how.lags]
    base = _base(scaled, lambda: at(_before(ahead, cuts, how.season)), how)
    if how.base in ("last", "velocity"):
        last = last_observed(scaled)[:, None]
        scaled, lagged, lagged_ahead = scaled - last, [x - last for x in lagged], [x - last for x in lagged_ahead]
    if how.differences:
        scaled = _differences(scaled)
    ahead_rows = first[:, None] + ahead
    parts = [scaled, *([~np.isnan(scaled)] if how.masked else []), store.past[rows], store.known[rows], *lagged]
    features = _joined([*parts, *_static(store, series, L)], real)
    parts = [store.known[ahead_rows], *lagged_ahead, *_static(store, series, how.horizon)]
    truth = turned(store.values[ahead_rows], angles)
    return Gathered(features, _joined(parts, None), store.categories[series], lengths, shift, scale, base, truth)


def _static(store: Store, series: Ints, steps: int) -> list[NDArray[np.float32]]:
    """(N, steps, E) the same in each step; nothing where there is none."""
    found = store.static[series]
    return [np.broadcast_to(found[:, None], (len(found), steps, found.shape[1]))] if found.shape[1] else []


def _before(ahead: Ints, cuts: Ints, lag: int) -> Ints:
    """Steps a lag before those of a forecast, or as many lags as it takes to be before the cut."""
    return ahead - lag * -(-(ahead - cuts[:, None] + 1) // lag)


def _values_at(store: Store, first: Ints, steps: Ints, cuts: Ints) -> Floats:
    """(N, L, D) values of these steps; NaN before the beginning, and from the cut on."""
    known = (steps >= 0) & (steps < cuts[:, None])
    values = store.values[np.where(known, first[:, None] + steps, 0)]
    return np.where(known[..., None], values, np.nan)


def _base(scaled: Floats, season: Callable[[], Floats], how: Reading) -> Floats:
    """(N, h, D) in scaled units: zeros, the last value that was observed, on from it, or the one a season before."""
    zeros = np.zeros((len(scaled), how.horizon, scaled.shape[2]))
    if how.base == "none":
        return zeros
    last = last_observed(scaled)[:, None]
    if how.base == "last":
        return zeros + last
    if how.base == "velocity":
        return last + _last_step(scaled)[:, None] * np.arange(1, how.horizon + 1)[:, None]
    found = season()
    return np.where(np.isnan(found), last, found)


def _last_step(values: Floats) -> Floats:
    """(N, D) of (N, L, D): the last value less the one before it, by the steps between; 0 where only one is known."""
    there = ~np.isnan(values)
    place = np.where(there, np.arange(values.shape[1])[:, None], -1)
    latest = place.max(1, initial=-1)
    before = np.where(place < latest[:, None], place, -1).max(1, initial=-1)
    known = before >= 0
    pair = [
        np.take_along_axis(values, np.maximum(k, 0)[:, None], 1)[:, 0] if values.shape[1] else 0 * k
        for k in (latest, before)
    ]
    return np.where(known, (pair[0] - pair[1]) / np.where(known, latest - before, 1), 0.0)


def turned(positions: Floats, angles: Floats | None) -> Floats:
    """Positions (N, L, 2) turned by an angle for each row, in radians, around 0; as they are without angles."""
    if angles is None:
        return positions
    c, s = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = positions[..., 0], positions[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], -1)


def _differences(values: Floats) -> Floats:
    """(N, L, D) of each step from the one before it in the window; NaN, which is read as 0, for the first."""
    found = np.full_like(values, np.nan)
    found[:, 1:] = values[:, 1:] - values[:, :-1]
    return found


def last_observed(values: Floats) -> Floats:
    """(N, D) of (N, L, D): the last value of each that is no NaN; 0 where there is none."""
    if not values.shape[1]:
        return np.zeros((len(values), values.shape[2]))
    there = ~np.isnan(values)
    place = values.shape[1] - 1 - there[:, ::-1].argmax(1)
    found = np.take_along_axis(values, place[:, None], 1)[:, 0]
    return np.asarray(np.where(there.any(1), found, 0.0))


def _joined(parts: Sequence[Any], real: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """(L, N, F) of parts (N, L, f): what is missing, or padded, is 0."""
    found = np.concatenate([part for part in parts if part.shape[2]] or [parts[0]], 2, dtype=np.float32)
    there = ~np.isnan(found)
    found = np.where(there if real is None else there & real[..., None], found, np.float32(0.0))
    return np.ascontiguousarray(found.transpose(1, 0, 2), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One forecast: a series before a cut. gold: whether what follows is known

    first: the first cut of a series that is trained on, at whose last one this window is; -1 of all others
    """

    store: Store
    place: int
    cut: int
    context: int
    gold: bool
    origin: Origin
    identity: bytes
    first: int = -1

    @property
    def length(self) -> int:
        return min(self.cut, self.context)

    @property
    def name(self) -> str:
        """Of the series."""
        return self.store.names[self.place]

    @property
    def shown_name(self) -> str:
        """Of the series, and where it stood if others share its name."""
        return f"{self.name} ({self.origin})" if self.store.names.count(self.name) > 1 else self.name

    @property
    def key(self) -> str:
        """No window of one split is in another: they end at different steps."""
        return f"{self.identity.hex()} {self.cut}"

    def digest(self) -> bytes:
        return self.identity

    @property
    def blank_targets(self) -> NDArray[np.bool_]:
        """(D,) whether a target has no value in the steps that are read."""
        end = int(self.store.offsets[self.place]) + self.cut
        return np.asarray(np.isnan(self.store.values[end - self.length : end]).all(0))

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read: no step, or no value in any."""
        return bool(self.blank_targets.all())


@dataclass(frozen=True, slots=True, eq=False)
class Windows(Sequence[Window]):
    """Windows of one store, each made when it is asked for: of a thousand forecasts only places and cuts are kept.

    places, cuts: (N,)      identities: of the series of the store
    """

    store: Store
    places: Ints
    cuts: Ints
    context: int
    gold: bool
    identities: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.cuts)

    @overload
    def __getitem__(self, at: int) -> Window: ...
    @overload
    def __getitem__(self, at: slice) -> Windows: ...
    def __getitem__(self, at: int | slice) -> Window | Windows:
        if isinstance(at, slice):
            return self.gathered(at)
        place, cut = int(self.places[at]), int(self.cuts[at])
        origin, identity = self.store.origins[place], self.identities[place]
        return Window(self.store, place, cut, self.context, self.gold, origin, identity)

    @property
    def lengths(self) -> Ints:
        """(N,) steps that are read."""
        return np.minimum(self.cuts, self.context)

    def gathered(self, at: Any) -> Windows:
        """Some of them: whatever NumPy takes for places."""
        return replace(self, places=self.places[at], cuts=self.cuts[at])


def together(windows: Sequence[Window]) -> tuple[Store, Ints, Ints]:
    """The store of all windows, and the series and cut of each."""
    if isinstance(windows, Windows):
        return windows.store, windows.places, windows.cuts
    cuts = np.array([one.cut for one in windows], np.int64)
    stores = {id(one.store): one.store for one in windows}
    if len(stores) == 1:
        return windows[0].store, np.array([one.place for one in windows], np.int64), cuts
    first = dict(zip(stores, np.cumsum([0, *(len(s.lengths) for s in stores.values())]).tolist(), strict=False))
    return merged(list(stores.values())), np.array([first[id(w.store)] + w.place for w in windows], np.int64), cuts


def merged(stores: Sequence[Store]) -> Store:
    """Several stores as one."""
    sizes = np.cumsum([0, *(len(store.values) for store in stores)])

    def joined(name: str) -> Any:
        return np.concatenate([getattr(store, name) for store in stores])

    arrays = ("values", "known", "past", "lengths", "static", "categories", "shift", "scale", "deviation")
    offsets = np.concatenate([store.offsets + size for store, size in zip(stores, sizes, strict=False)])
    lists: dict[str, Any] = {
        name: tuple(one for s in stores for one in getattr(s, name)) for name in ("names", "clocks", "origins")
    }
    return Store(offsets=offsets, **{name: joined(name) for name in arrays}, **lists)
