"""What a token server counts, in Prometheus' format: the callers that a worker never hears of."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

LEVEL_CLOSED = "closed"
"""No call is taken at this level of degradation."""
EXPECTED = ("capacity", LEVEL_CLOSED, "budget_spent", "rate_limited", "no_agent", "call_live", "unauthorized")
"""There from the start, at nought: a counter that appears with its first event was not seen rising."""


class ServerMetrics:
    """A server's counters.

    Args:
        budget_spent: Returns the share of the day's budget that is known to be spent; 0 where there is none.
        beside: Returns what a worker in the same process counts.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self,
        budget_spent: Callable[[], float] = lambda: 0.0,
        beside: Callable[[], bytes] = lambda: b"",
    ) -> None:
        self._beside = beside
        self._registry = CollectorRegistry()
        self._given = Counter("repartee_places_given", "Callers who got a token.", registry=self._registry)
        self._refused = Counter(
            "repartee_places_refused", "Callers who got none, by `error`.", ["why"], registry=self._registry
        )
        for why in EXPECTED:
            self._refused.labels(why)
        spent = Gauge(
            "repartee_budget_spent_ratio",
            "Share of the day's budget that was spent when a caller asked last; 0 without a budget.",
            registry=self._registry,
        )
        spent.set_function(budget_spent)

    def given(self) -> None:
        """A caller got a token."""
        self._given.inc()

    def refused(self, why: str) -> None:
        """A caller got none; `why` is the code that programs are told."""
        self._refused.labels(why).inc()

    def text(self) -> bytes:
        """Return everything in the exposition format."""
        return generate_latest(self._registry) + self._beside()
