"""What went wrong with providers during a call, told once each: on the timeline, in the record, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from repartee.providers.breakers import State
from repartee.providers.failover import StageName, Switched, Watch
from repartee.providers.failures import Why
from repartee.providers.health import Health
from repartee.providers.shared import BreakerKey

Failures = list[tuple[str, str, str, int]]
"""Provider, stage, why, how often."""


class Troubles:
    """The troubles of one call.

    Args:
        mark: Writes to the timeline.
        health: Tells of breakers; others' calls change them too.
    """

    def __init__(self, mark: Callable[..., None], health: Health) -> None:
        self._mark = mark
        self._counted: Counter[tuple[str, str, str]] = Counter()
        self._used: set[tuple[str, str]] = set()
        self.watch = Watch(switched=self._switched, failed=self._failed, exhausted=self._exhausted)
        self.close = health.listen(self._breaker)
        """Listens no longer."""

    def about(self, keys: set[tuple[str, str]]) -> None:
        """Only breakers of these providers and models concern this call."""
        self._used |= keys

    def summary(self) -> Failures:
        """Return how often what failed."""
        return [(provider, stage, why, count) for (provider, stage, why), count in self._counted.items()]

    def _failed(self, stage: StageName, key: BreakerKey, why: Why) -> None:
        self._counted[key.provider, stage, why] += 1
        self._mark("provider.failed", stage=stage, provider=key.provider, model=key.model, why=why)

    def _switched(self, switched: Switched) -> None:
        self._mark(
            "provider.switched",
            stage=switched.stage,
            before=f"{switched.before.provider}:{switched.before.model}",
            now=f"{switched.now.provider}:{switched.now.model}",
            why=switched.why or "healed",
        )

    def _exhausted(self, stage: StageName) -> None:
        self._mark("provider.exhausted", stage=stage)

    def _breaker(self, key: BreakerKey, before: State, now: State) -> None:
        if (key.provider, key.model) in self._used:
            self._mark(
                "provider.breaker",
                provider=key.provider,
                model=key.model,
                operation=key.operation,
                before=before,
                now=now,
            )
