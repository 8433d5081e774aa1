"""Numbers for Prometheus. Names of routes, methods and runs come from lists of ours, so their number is bounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

OUTCOMES = ("loaded", "unchanged", "refused")
METHODS = frozenset(("GET", "HEAD", "POST", "DELETE"))
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service; two in one process share nothing."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "recurra_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "recurra_request_seconds",
            "Seconds until the last byte of an answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._records = Counter("recurra_records", "Records answered.", ("model",), registry=self._registry)
        self._reloads = Counter("recurra_reloads", "Reloads of a run.", ("model", "outcome"), registry=self._registry)
        self._opened = Gauge(
            "recurra_model_opened_timestamp_seconds",
            "When the version of a run that answers now was read.",
            ("model",),
            registry=self._registry,
        )
        self._rows = Histogram("recurra_batch_records", "Records of a batch.", buckets=ROWS, registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answer. route: the path as it is declared, never as it was asked for"""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answered(self, model: str, records: int) -> None:
        """Records of one request that were answered."""
        self._records.labels(model).inc(records)

    def opened(self, model: str, at: datetime) -> None:
        """A version of a run that answers from now on."""
        self._opened.labels(model).set(at.timestamp())
        for outcome in OUTCOMES:  # 0 is a number too: what is not there cannot be watched
            self._reloads.labels(model, outcome)

    def reloaded(self, model: str, outcome: str) -> None:
        """The end of a reload, one of OUTCOMES."""
        self._reloads.labels(model, outcome).inc()

    def batch(self, rows: int) -> None:
        """Records that were answered together."""
        self._rows.observe(rows)

    def watch(self, name: str, doc: str, value: Callable[[], float]) -> None:
        """A number that is read when it is asked for."""
        Gauge(name, doc, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of them in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)
