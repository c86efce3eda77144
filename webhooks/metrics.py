"""`GET /metrics`: counters and ages for Prometheus. No personal data, no ids; from loopback, or with the token."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator, Mapping

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connector.ledger.vault import recovery_confirmed
from connector.pipeline import Pipeline

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
# A proxy on this machine speaks for somebody who may be anywhere.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


def blueprint(pipeline: Pipeline) -> Blueprint:
    """The route, to be registered by the application."""
    metrics = Blueprint("metrics", __name__)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Ledger(pipeline))

    @metrics.get("/metrics")
    def show() -> Response:
        if not _may_look(pipeline):
            return Response('{"error": "not_authentic"}', 401, content_type="application/json")
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return metrics


def _may_look(pipeline: Pipeline) -> bool:
    """The bearer token when one is configured and shown; else only this machine."""
    token = pipeline.config.secret("metrics_token")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and hmac.compare_digest(given.encode(), token.encode()):
        return True
    forwarded = any(header in request.headers for header in _FORWARDED)
    return request.remote_addr in _LOOPBACK and not forwarded


class _Ledger(Collector):
    """Reads the ledger when it is asked."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._ledger = pipeline.ledger

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        now = time.time()
        yield from self._deliveries(now)
        totals = self._ledger.totals()
        receipts = GaugeMetricFamily("silah_receipts", "Webhooks kept, by what became of them", labels=["state"])
        for state, count in totals.receipts.items():
            receipts.add_metric([state], count)
        yield receipts
        yield CounterMetricFamily("silah_attempts", "Attempts to deliver", value=totals.attempts)
        yield GaugeMetricFamily(
            "silah_submissions_unreadable", "Submissions that need a person", value=totals.unreadable
        )
        yield from _sweeps(totals.sweeps, now)
        confirmed = recovery_confirmed(self._ledger.database, self._ledger.master)
        yield GaugeMetricFamily(
            "silah_recovery_sheet_confirmed", "1 when the master key was typed from its paper", value=float(confirmed)
        )
        refused = CounterMetricFamily(
            "silah_refused_requests", "Requests that were not taken, by code", labels=["code"]
        )
        for name, number in self._ledger.counts().items():
            refused.add_metric([name], number)
        yield refused

    def _deliveries(self, now: float) -> Iterator[Metric]:
        counts = GaugeMetricFamily("silah_deliveries", "Deliveries by target and state", labels=["target", "state"])
        ages = GaugeMetricFamily(
            "silah_oldest_delivery_seconds", "Age of the oldest delivery that is not done", labels=["target", "state"]
        )
        for (target, state), (count, oldest) in self._ledger.gauges().items():
            counts.add_metric([target, state], count)
            if state in {"due", "waiting", "parked"}:
                ages.add_metric([target, state], max(0.0, now - oldest / 1000))
        yield counts
        yield ages


def _sweeps(swept: Mapping[tuple[str, str], tuple[int, bool]], now: float) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "silah_sweep_age_seconds", "Since the last comparison with the server's list", labels=["server", "form"]
    )
    stopped = GaugeMetricFamily("silah_sweep_stopped", "1 when a sweep waits for a person", labels=["server", "form"])
    for (server, form), (at, is_stopped) in swept.items():
        lag.add_metric([server, form], max(0.0, now - at / 1000))
        stopped.add_metric([server, form], 1 if is_stopped else 0)
    yield lag
    yield stopped
