"""What this process knows of its providers, as all others do: breakers and limits on one journal, and who listens."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from pydantic import SecretStr

from repartee.providers.breakers import Breakers, OnSwitch, State
from repartee.providers.deadline import Clock
from repartee.providers.limits import Limits, SharedSlots
from repartee.providers.shared import BreakerKey, FileJournal, FileSlots, Found, Journal, Slots

FOLDER = "providers"


class Health:
    """Breakers and limits of a process. Every call of the process uses the same.

    Args:
        journal: What was found out; None is this process's own memory.
        slots: Places of keys on this machine; None counts in this process.
        fleet: Places of keys among machines; None where this is the only one.
        clock_s: The machine's monotonic clock.
        rng: Jitter.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        slots: Slots | None = None,
        fleet: SharedSlots | None = None,
        clock_s: Clock = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        self.clock_s = clock_s
        self.breakers = Breakers(journal, clock_s, rng)
        self.limits = Limits(slots=slots, fleet=fleet, clock_s=clock_s)
        self.breakers.on_found = self._found
        self.breakers.on_switch = self._switched
        self._listeners: list[OnSwitch] = []

    def listen(self, on_switch: OnSwitch) -> Callable[[], None]:
        """Tell of every breaker that changes; return what ends that."""
        self._listeners.append(on_switch)

        def stop() -> None:
            if on_switch in self._listeners:
                self._listeners.remove(on_switch)

        return stop

    def _found(self, found: Found) -> None:
        self.limits.take(found)

    def _switched(self, key: BreakerKey, before: State, now: State) -> None:
        for listener in list(self._listeners):
            listener(key, before, now)


def open_health(state_dir: Path, redis_url: str | None = None) -> Health:
    """Open what the processes of this machine share, and with a Redis what those of all machines do.

    Args:
        state_dir: The machine's data folder.
        redis_url: As in REPARTEE_REDIS_URL; None shares nothing with other machines.
    """
    folder = state_dir.absolute() / FOLDER
    journal = FileJournal(folder)
    if redis_url is None:
        return Health(journal, FileSlots(folder))
    from repartee.providers.fleet import RedisFleet  # noqa: PLC0415 - only where there is a fleet

    fleet = RedisFleet(redis_url, journal, journal.machine)
    return Health(fleet, FileSlots(folder), fleet)


def key_id(key: SecretStr | None) -> str:
    """Return what tells keys apart without giving them away."""
    if key is None:
        return "none"
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]
