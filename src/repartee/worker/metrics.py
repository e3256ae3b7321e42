"""What a worker counts, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from repartee.worker.degrading import LoadWatch


class WorkerMetrics:
    """A worker's counters; a registry of its own, so that two workers of one process do not add up.

    Args:
        calls: Returns the calls in progress.
        registered: Returns whether LiveKit knows the worker.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, calls: Callable[[], int], registered: Callable[[], bool]) -> None:
        self._registry = CollectorRegistry()
        active = Gauge("repartee_calls_active", "Calls in progress or promised.", registry=self._registry)
        active.set_function(calls)
        known = Gauge("repartee_worker_registered", "1 while LiveKit sends jobs.", registry=self._registry)
        known.set_function(lambda: float(registered()))
        self._started = Counter("repartee_calls_started", "Calls begun.", registry=self._registry)
        self._refused = Counter("repartee_calls_refused", "Jobs refused: full.", registry=self._registry)
        self._ended = Counter("repartee_calls_ended", "Calls over.", ["outcome"], registry=self._registry)
        self._requests = self._counter("repartee_requests", "Requests to providers.", "stage")
        self._failed = self._counter("repartee_requests_failed", "Of those, failed.", "stage")
        self._unpriced = self._counter(
            "repartee_requests_unpriced", "Of those, without a known price.", "model"
        )
        self._usd = self._counter("repartee_cost_usd", "What they cost, as far as prices are known.", "stage")
        self._wasted = self._counter(
            "repartee_cost_wasted_usd", "Of that, for nothing that was heard.", "stage"
        )
        self._seconds = self._counter(
            "repartee_audio_seconds",
            'Of calls ("call"), of callers\' speech ("speech"), and sent to paid services ("sent").',
            "what",
        )

    def watch_load(self, load: LoadWatch) -> None:
        """Show what the ladder of degradation measures, and where it stands."""
        shown: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("repartee_level", "Level of degradation, 0 to 5.", lambda: float(load.level)),
            ("repartee_level_changes", "How often it has changed.", lambda: float(load.changes)),
            ("repartee_loop_lag_ms", "Lag of the latest event loop, p95 of 10 s.", lambda: load.load.lag_ms),
            ("repartee_cpu_share", "Share of the processors that is used.", lambda: load.load.cpu),
            (
                "repartee_first_token_ratio",
                "First tokens' p95 in multiples of the usual; 0 while unknown.",
                lambda: load.load.first_token or 0.0,
            ),
        )
        for name, help_text, value in shown:
            Gauge(name, help_text, registry=self._registry).set_function(value)

    def _counter(self, name: str, help_text: str, label: str) -> Counter:
        return Counter(name, help_text, [label], registry=self._registry)

    def started(self) -> None:
        """A call began."""
        self._started.inc()

    def refused(self) -> None:
        """A job was refused, as the worker was full or draining."""
        self._refused.inc()

    def ended(self, outcome: str) -> None:
        """A call is over: "ended", "failed" or "crashed"."""
        self._ended.labels(outcome).inc()

    def billed(self, bill: dict[str, Any]) -> None:
        """A call that is over has sent its bill (`session.bill.Bill.summary`)."""
        for stage, sums in bill["stages"].items():
            self._requests.labels(stage).inc(sums["requests"])
            self._failed.labels(stage).inc(sums["failed"])
            self._usd.labels(stage).inc(float(sums["usd"]))
            self._wasted.labels(stage).inc(float(sums["usd_wasted"]))
        for model, requests in bill["unknown_prices"].items():
            self._unpriced.labels(model).inc(requests)
        for what in ("call", "speech"):
            self._seconds.labels(what).inc(bill[f"{what}_s"])
        self._seconds.labels("sent").inc(bill["audio_sent_s"])

    def text(self) -> bytes:
        """Return everything in the exposition format."""
        return generate_latest(self._registry)
