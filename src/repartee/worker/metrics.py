"""What a worker counts, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from repartee.providers.breakers import State
from repartee.providers.shared import BreakerKey
from repartee.worker.degrading import LoadWatch

STATES: tuple[State, ...] = ("closed", "half_open", "open", "refused")


class _BreakerCollector:
    """Reads the breakers when somebody asks: they follow from what all calls have found out."""

    def __init__(self, breakers: Callable[[], Mapping[BreakerKey, State]]) -> None:
        self._breakers = breakers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one gauge for each breaker."""
        family = GaugeMetricFamily(
            "repartee_provider_breaker",
            "0 closed, 1 half open, 2 open, 3 the key is refused.",
            labels=["provider", "model", "operation"],
        )
        worst: dict[tuple[str, str, str], int] = {}
        for key, state in self._breakers().items():
            labels = key.provider, key.model, key.operation
            worst[labels] = max(worst.get(labels, 0), STATES.index(state))
        for labels, value in worst.items():
            family.add_metric(list(labels), value)
        yield family

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing: what there is is only known when it is asked for."""
        return []


class WorkerMetrics:
    """A worker's counters; a registry of its own, so that two workers of one process do not add up.

    Args:
        calls: Returns the calls in progress.
        registered: Returns whether LiveKit knows the worker.
        breakers: Returns how the breakers of this machine's providers stand.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self,
        calls: Callable[[], int],
        registered: Callable[[], bool],
        breakers: Callable[[], Mapping[BreakerKey, State]] | None = None,
    ) -> None:
        self._registry = CollectorRegistry()
        if breakers is not None:
            self._registry.register(_BreakerCollector(breakers))
        self._provider_failures = Counter(
            "repartee_provider_failures",
            "Requests to providers that failed.",
            ["provider", "stage", "why"],
            registry=self._registry,
        )
        active = Gauge("repartee_calls_active", "Calls in progress or promised.", registry=self._registry)
        active.set_function(calls)
        known = Gauge("repartee_worker_registered", "1 while LiveKit sends jobs.", registry=self._registry)
        known.set_function(lambda: float(registered()))
        self._started = Counter("repartee_calls_started", "Calls begun.", registry=self._registry)
        self._refused = Counter("repartee_calls_refused", "Jobs refused: full.", registry=self._registry)
        self._handed = Counter(
            "repartee_calls_handed_over", "Calls that went on with another agent.", registry=self._registry
        )
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

        self._store_troubles = self._counter(
            "repartee_store_troubles",
            "Calls that found the database away or back, the disk for waiting rows full, or rows lost.",
            "what",
        )
        self._network = self._counter(
            "repartee_network_events",
            'Of calls: "caller_lost", "caller_returned", "agent_reconnecting", "quality_poor" and so on.',
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

    def handed_over(self) -> None:
        """A call lost its agent and went on with another."""
        self._handed.inc()

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

    def store_trouble(self, what: str) -> None:
        """A call tells of a trouble with the database or its disk (`store.Trouble`)."""
        self._store_troubles.labels(what.removeprefix("store.")).inc()

    def network(self, counts: dict[str, int]) -> None:
        """A call that is over has told of its network (`session.network.Network.counts`)."""
        for what, number in counts.items():
            self._network.labels(what).inc(number)

    def provider_failures(self, failures: Iterable[tuple[str, str, str, int]]) -> None:
        """A call that is over has told what failed (`session.troubles.Failures`)."""
        for provider, stage, why, count in failures:
            self._provider_failures.labels(provider, stage, why).inc(count)

    def text(self) -> bytes:
        """Return everything in the exposition format."""
        return generate_latest(self._registry)
