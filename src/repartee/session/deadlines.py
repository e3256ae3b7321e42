"""The core's deadlines: timers of the event loop that come back as events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from repartee.events import DeadlineName, DeadlinePassed, Event


class Deadlines:
    """The timers of one call.

    Args:
        clock_ms: The call's clock.
        submit: Takes what has passed.
    """

    def __init__(self, clock_ms: Callable[[], float], submit: Callable[[Event], None]) -> None:
        self._clock_ms = clock_ms
        self._submit = submit
        self._timers: dict[DeadlineName, asyncio.TimerHandle] = {}

    @property
    def armed(self) -> set[DeadlineName]:
        """Those that are waited for."""
        return set(self._timers)

    def arm(self, name: DeadlineName, at_ms: float) -> None:
        """Have a deadline pass at a time, and at no other."""
        self.disarm(name)
        wait_s = max(0.0, (at_ms - self._clock_ms()) / 1000)
        self._timers[name] = asyncio.get_running_loop().call_later(wait_s, self._due, name)

    def disarm(self, name: DeadlineName) -> None:
        """Have it not pass."""
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def stop(self) -> None:
        """Have none pass."""
        for name in list(self._timers):
            self.disarm(name)

    def _due(self, name: DeadlineName) -> None:
        self._timers.pop(name, None)
        self._submit(DeadlinePassed(self._clock_ms(), name))
