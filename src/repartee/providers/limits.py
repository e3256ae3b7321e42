"""How many requests a key may have on their way: known before asking, lowered when the vendor says it was too many.

The number is the plan's where the vendor has plans by concurrency, else `DEFAULT`. A 429 lowers it by 30 %, quiet
time raises it again by one, up to the plan's. Whoever finds no place waits a little, inside its deadline, and then
goes to the next rung: a caller hears a wait, not a queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from repartee.errors import ConfigError, ProviderError
from repartee.providers.deadline import Clock, Deadline
from repartee.providers.shared import BreakerKey, Found, MemorySlots, Slots

DEFAULT = 64
LOWERED_TO = 0.7
RAISE_S = 30.0
WAIT_S = 0.25
UNLIMITED = frozenset({"on-device", "answers", "local"})

PLANS: dict[str, dict[str, int]] = {
    # Requests at once for the flash and turbo models; half as many for the others.
    "elevenlabs": {"free": 4, "starter": 6, "creator": 10, "pro": 20, "scale": 30, "business": 30},
    "cartesia": {"free": 2, "pro": 3, "startup": 5, "scale": 15},
}


def plan_limit(provider: str, plan: str, model: str) -> int:
    """Return how many requests a plan allows at once.

    Args:
        provider: "elevenlabs" or "cartesia".
        plan: Its name, or a number for a plan that was agreed upon.
        model: ElevenLabs counts its slower models double.

    Raises:
        ConfigError: There is no such plan.
    """
    if plan.isdecimal() and int(plan) > 0:
        return int(plan)
    plans = PLANS[provider]
    if plan not in plans:
        raise ConfigError(
            f"{provider.upper()}_PLAN is '{plan}'; it is a number of requests at once or one of: "
            f"{', '.join(plans)}"
        )
    fast = provider != "elevenlabs" or any(word in model for word in ("flash", "turbo"))
    return plans[plan] if fast else plans[plan] // 2


@dataclass
class Concurrency:
    """A limit that adapts: lowered by a factor, raised by one."""

    ceiling: int
    value: float = 0.0
    changed_at_s: float = 0.0

    def __post_init__(self) -> None:
        self.value = float(self.ceiling)

    @property
    def limit(self) -> int:
        """How many requests may be on their way."""
        return max(1, int(self.value))

    def take(self, found: Found) -> None:
        """Learn from what was found out."""
        if found.kind == "limited" and found.asked_at_s >= self.changed_at_s:
            # Requests that were already on their way say the same thing once more, not more of it.
            self.value = max(1.0, self.value * LOWERED_TO)
            self.changed_at_s = found.at_s
        elif found.kind == "done" and found.at_s - self.changed_at_s >= RAISE_S and self.value < self.ceiling:
            self.value = min(float(self.ceiling), self.value + 1)
            self.changed_at_s = found.at_s


class SharedSlots(Protocol):
    """Places of which a key has only so many, counted where asking takes a moment."""

    async def take(self, name: str, limit: int) -> Callable[[], None] | None:
        """Take a place; return what gives it back, or None when `limit` are taken.

        Never raises: where nobody counts, there is a place.
        """


class Limits:
    """Places for the requests of each key.

    Args:
        ceilings: The most a provider's key may have on their way, by provider.
        slots: Where this machine's places are counted.
        fleet: Where those of all machines are; None where there is one machine.
        clock_s: The machine's monotonic clock.
    """

    def __init__(
        self,
        ceilings: Mapping[str, int] | None = None,
        slots: Slots | None = None,
        fleet: SharedSlots | None = None,
        clock_s: Clock = time.monotonic,
    ) -> None:
        self._ceilings = dict(ceilings or {})
        self._slots = slots or MemorySlots()
        self._fleet = fleet
        self._clock_s = clock_s
        self._concurrency: dict[tuple[str, str], Concurrency] = {}
        self._freed = asyncio.Event()

    def take(self, found: Found) -> None:
        """Learn from what was found out, by whomever."""
        if found.key.provider not in UNLIMITED:
            self._of(found.key).take(found)

    def limit(self, key: BreakerKey) -> int:
        """Return how many requests a key may have on their way now."""
        return self._of(key).limit

    def allow(self, ceilings: Mapping[str, int]) -> None:
        """Say what the plans allow at once, by provider."""
        self._ceilings.update(ceilings)
        for (provider, _), concurrency in self._concurrency.items():
            if provider in ceilings and concurrency.ceiling != ceilings[provider]:
                concurrency.ceiling = ceilings[provider]
                concurrency.value = min(concurrency.value, float(concurrency.ceiling))

    @asynccontextmanager
    async def place(self, key: BreakerKey, deadline: Deadline, wait_s: float = WAIT_S) -> AsyncIterator[None]:
        """Hold a place while the context lasts.

        Raises:
            ProviderError: None became free in time (`rate_limited`).
        """
        if key.provider in UNLIMITED:
            yield
            return
        give_back = await self._take(key)
        until = Deadline.after(deadline.within(wait_s), self._clock_s)
        while give_back is None and not until.passed:
            self._freed.clear()
            try:
                await asyncio.wait_for(self._freed.wait(), until.remaining())
            except TimeoutError:
                give_back = await self._take(key)  # another process may have left
                break
            give_back = await self._take(key)
        if give_back is None:
            raise ProviderError(
                f"all {self.limit(key)} requests that {key.provider} allows at once are taken",
                kind="rate_limited",
                provider=key.provider,
            )
        try:
            yield
        finally:
            give_back()
            self._freed.set()

    async def _take(self, key: BreakerKey) -> Callable[[], None] | None:
        """Take a place on this machine, then one among all; both or none."""
        name, limit = f"{key.provider}-{key.key_id}", self.limit(key)
        here = self._slots.take(name, limit)
        if here is None or self._fleet is None:
            return here
        there = None
        try:
            there = await self._fleet.take(name, limit)
        finally:
            if there is None:
                here()
        if there is None:
            return None
        both = (here, there)

        def give_back() -> None:
            for one in both:
                one()

        return give_back

    def _of(self, key: BreakerKey) -> Concurrency:
        ceiling = self._ceilings.get(key.provider, DEFAULT)
        return self._concurrency.setdefault((key.provider, key.key_id), Concurrency(ceiling))
