"""What a worker counts, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4


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

        self._network = self._counter(
            "repartee_network_events",
            'Of calls: "caller_lost", "caller_returned", "agent_reconnecting", "quality_poor" and so on.',
            "what",
        )

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

    def network(self, counts: dict[str, int]) -> None:
        """A call that is over has told of its network (`session.network.Network.counts`)."""
        for what, number in counts.items():
            self._network.labels(what).inc(number)

    def text(self) -> bytes:
        """Return everything in the exposition format."""
        return generate_latest(self._registry)
