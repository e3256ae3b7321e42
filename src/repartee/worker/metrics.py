"""What a worker counts, in Prometheus' format."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from repartee.providers.breakers import State
from repartee.providers.shared import BreakerKey
from repartee.store import Trouble
from repartee.worker.degrading import LoadWatch

STATES: tuple[State, ...] = ("closed", "half_open", "open", "refused")
OUTCOMES = ("ended", "failed", "crashed")
RESPONSE_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Bounds of the buckets of answer times: close together where a caller notices the difference."""


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
        seats: Returns how many calls are taken at once.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self,
        calls: Callable[[], int],
        registered: Callable[[], bool],
        breakers: Callable[[], Mapping[BreakerKey, State]] | None = None,
        seats: Callable[[], int] = lambda: 0,
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
        self._gauge("repartee_calls_active", "Calls in progress or promised.", calls)
        self._gauge("repartee_calls_max", "Calls it takes at once; no new ones while it drains.", seats)
        self._gauge("repartee_worker_registered", "1 while LiveKit sends jobs.", registered)
        self._started = Counter("repartee_calls_started", "Calls begun.", registry=self._registry)
        self._refused = Counter("repartee_calls_refused", "Jobs refused: full.", registry=self._registry)
        self._handed = Counter(
            "repartee_calls_handed_over", "Calls that went on with another agent.", registry=self._registry
        )
        self._ended = self._counter("repartee_calls_ended", "Calls over.", "outcome")
        self._endings = self._counter(
            "repartee_calls_ended_because", "Of the calls that ended in order: why.", "reason"
        )
        self._response = Histogram(
            "repartee_response_seconds",
            "From the caller's last sound to the first sound of the answer, as the server heard and sent them.",
            buckets=RESPONSE_S,
            registry=self._registry,
        )
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
        # There from the start, at nought: a counter that appears with its first event was not seen rising.
        for outcome in OUTCOMES:
            self._ended.labels(outcome)
        for trouble in get_args(Trouble):
            self._store_troubles.labels(trouble.removeprefix("store."))

    def watch_tasks(self, tasks: Callable[[], int]) -> None:
        """Show how many tasks the session processes have: more after each call is a leak."""
        self._gauge("repartee_session_tasks", "Tasks of the session processes' loops.", tasks)

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
            self._gauge(name, help_text, value)

    def watch_store(self, state_dir: Path, spool_dir: Path, answers: Callable[[], bool]) -> None:
        """Show whether the database answers, and what the disk has for the time that it does not.

        Args:
            state_dir: The data folder.
            spool_dir: Where rows wait while the database is away.
            answers: Returns whether the database answered when it was asked last.
        """
        self._gauge("repartee_database_up", "1 while the database answers.", answers)
        self._gauge(
            "repartee_spool_bytes",
            "Rows of calls that the database has not confirmed.",
            lambda: _bytes_in(spool_dir),
        )
        self._gauge(
            "repartee_disk_free_bytes", "Left on the disk of the data folder.", lambda: _free(state_dir)
        )

    def _gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        Gauge(name, help_text, registry=self._registry).set_function(lambda: float(value()))

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

    def ended(self, outcome: str, reason: str = "") -> None:
        """A call is over.

        Args:
            outcome: "ended", "failed" or "crashed".
            reason: Of one that ended in order (`events.EndReason`).
        """
        self._ended.labels(outcome).inc()
        if outcome == "ended" and reason:
            self._endings.labels(reason).inc()

    def answered(self, took_ms: float) -> None:
        """A caller has waited so long for an answer."""
        self._response.observe(took_ms / 1000)

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


def _bytes_in(folder: Path) -> int:
    """Return how much the files of a folder hold; 0 of one that is not there."""
    total = 0
    for file in folder.glob("*"):
        with suppress(FileNotFoundError):  # a journal that was emptied and removed in between
            total += file.stat().st_size
    return total


def _free(folder: Path) -> float:
    """Return the bytes that are left; not a number where the disk does not say."""
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return float("nan")
