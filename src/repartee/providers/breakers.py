"""Circuit breakers: a provider that keeps failing is left alone for a while, by all calls.

A breaker's state follows from the journal alone (`shared`), so every process that reads it comes to the same. Closed,
it counts what happened in the last 30 s; open, nobody asks; half open, one request at a time finds out whether it
works again. What we cut off ourselves, as in an interruption, counts as nothing.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from repartee.providers.deadline import Clock
from repartee.providers.shared import BreakerKey, Found, Journal, Kind, MemoryJournal

State = Literal["closed", "open", "half_open", "refused"]
"""`refused`: the key is no good, or its quota is used up; only a change of settings closes it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens and for how long. Times in seconds."""

    window_s: float = 30.0
    min_calls: int = 5
    failed_share: float = 0.5
    slow_share: float = 0.6
    slow_factor: float = 3.0
    """A first token later than so many times the usual is slow."""
    open_s: float = 5.0
    open_max_s: float = 60.0
    jitter: float = 0.2
    closes_after: int = 2
    """Probes in a row that must succeed."""
    probe_s: float = 15.0
    """A probe that says nothing for so long has died with its process."""
    retry_after_max_s: float = 300.0
    baseline_size: int = 101
    baseline_min: int = 5


@dataclass
class Breaker:
    """One breaker: `take` records in order, then ask for `state`."""

    rules: Rules = field(default_factory=Rules)
    opened: int = 0
    """How many times in a row it opened without closing."""
    open_until_s: float | None = None
    refused: bool = False
    successes: int = 0
    probe: str | None = None
    probe_at_s: float = 0.0
    changed_at_s: float = 0.0
    """When it last closed or opened: what was asked before says nothing about now."""
    _calls: deque[tuple[float, Kind]] = field(default_factory=deque)
    _firsts: deque[float] = field(default_factory=deque)

    def state(self, now_s: float) -> State:
        """Return how it stands."""
        if self.refused:
            return "refused"
        if self.open_until_s is None:
            return "closed"
        return "open" if now_s < self.open_until_s else "half_open"

    def may_probe(self, now_s: float) -> bool:
        """Say whether a request may find out whether it works again."""
        taken = self.probe is not None and now_s - self.probe_at_s < self.rules.probe_s
        return self.state(now_s) == "half_open" and not taken

    @property
    def baseline_s(self) -> float | None:
        """The usual time to the first token (p50), None before it is known."""
        return statistics.median(self._firsts) if len(self._firsts) >= self.rules.baseline_min else None

    def is_slow(self, first_s: float) -> bool:
        """Say whether a first token was late."""
        return self.baseline_s is not None and first_s > self.rules.slow_factor * self.baseline_s

    def take(self, found: Found) -> None:
        """Take the next record of this breaker's key."""
        is_probe = found.by == self.probe and self.probe is not None
        if found.first_s is not None and found.kind in {"done", "slow"}:
            self._firsts.append(found.first_s)
            while len(self._firsts) > self.rules.baseline_size:
                self._firsts.popleft()
        match found.kind:
            case "changed":
                self._close(found.at_s)
            case "refused":
                self.refused, self.probe = True, None
            case "probing":
                if self.may_probe(found.at_s):
                    self.probe, self.probe_at_s = found.by, found.at_s
            case "given_up":
                self.probe = None if is_probe else self.probe
            case "limited" if found.retry_after_s is not None:
                wait_s = min(found.retry_after_s, self.rules.retry_after_max_s)
                self.probe, self.successes = None, 0
                self.open_until_s = max(self.open_until_s or 0.0, found.at_s + wait_s)
                self.changed_at_s = found.at_s
            case _ if self.open_until_s is not None:
                if is_probe:
                    self._probed(found)
            case _ if found.asked_at_s >= self.changed_at_s:
                self._count(found)
            case _:
                pass  # asked before the breaker last closed

    def _probed(self, found: Found) -> None:
        self.probe = None
        if found.kind != "done":
            self._open(found)
            return
        self.successes += 1
        if self.successes >= self.rules.closes_after:
            self._close(found.at_s)

    def _count(self, found: Found) -> None:
        self._calls.append((found.at_s, found.kind))
        while self._calls and self._calls[0][0] <= found.at_s - self.rules.window_s:
            self._calls.popleft()
        total = len(self._calls)
        failed = sum(kind in {"failed", "limited"} for _, kind in self._calls)
        slow = sum(kind == "slow" for _, kind in self._calls)
        bad = failed >= self.rules.failed_share * total or slow >= self.rules.slow_share * total
        if total >= self.rules.min_calls and bad:
            self._open(found)

    def _open(self, found: Found) -> None:
        base_s = min(self.rules.open_max_s, self.rules.open_s * 2**self.opened)
        self.opened += 1
        wait_s = base_s * (1 + self.rules.jitter * (2 * found.chance - 1))
        self.open_until_s, self.changed_at_s = found.at_s + wait_s, found.at_s
        self.successes, self.probe = 0, None
        self._calls.clear()

    def _close(self, at_s: float) -> None:
        self.refused, self.open_until_s, self.opened = False, None, 0
        self.successes, self.probe, self.changed_at_s = 0, None, at_s
        self._calls.clear()


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to make one request; its end is told once, with `Breakers.tell`."""

    key: BreakerKey
    by: str
    asked_at_s: float
    probe: bool


OnSwitch = Callable[[BreakerKey, State, State], None]


class Breakers:
    """All breakers of this process, kept equal to those of the others.

    Args:
        journal: Where records go and come from.
        clock_s: The machine's monotonic clock.
        rng: Jitter.
        rules: When breakers open.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        clock_s: Clock = time.monotonic,
        rng: Random | None = None,
        rules: Rules | None = None,
    ) -> None:
        self._journal = journal or MemoryJournal()
        self._clock_s = clock_s
        self._rng = rng or Random()  # noqa: S311 - jitter is no secret
        self._rules = rules or Rules()
        self._breakers: dict[BreakerKey, Breaker] = {}
        self._shown: dict[BreakerKey, State] = {}
        self._open: set[str] = set()
        self.on_found: Callable[[Found], None] | None = None
        """Called with every record, whoever made it."""
        self.on_switch: OnSwitch | None = None
        """Called when a breaker is found in another state than before."""

    def state(self, key: BreakerKey) -> State:
        """Return how a breaker stands now."""
        self._read()
        return self._state(key)

    def available(self, key: BreakerKey) -> bool:
        """Say whether a request could be made now; takes nothing."""
        self._read()
        return self._state(key) == "closed" or self._breaker(key).may_probe(self._clock_s())

    def ask(self, key: BreakerKey) -> Ticket | None:
        """Ask to make a request; None while the breaker is open, or another request finds out."""
        self._read()
        now, state = self._clock_s(), self._state(key)
        ticket = Ticket(key, uuid.uuid4().hex[:16], now, probe=state == "half_open")
        if state == "half_open":
            if not self._breaker(key).may_probe(now):
                return None
            self._write(Found(key, "probing", now, now, ticket.by))
            if self._breaker(key).probe != ticket.by:
                return None  # another process was first
        elif state != "closed":
            return None
        self._open.add(ticket.by)
        return ticket

    def force(self, key: BreakerKey) -> Ticket:
        """Return leave whatever the breaker says: for the last rung, when there is nothing else."""
        ticket = Ticket(key, uuid.uuid4().hex[:16], self._clock_s(), probe=False)
        self._open.add(ticket.by)
        return ticket

    def tell(
        self,
        ticket: Ticket,
        kind: Kind,
        *,
        first_s: float | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Tell how a request ended; told again, it counts once. A late first token makes "done" "slow"."""
        if ticket.by not in self._open:
            return
        self._open.discard(ticket.by)
        self._read()
        if kind == "done" and first_s is not None and self._breaker(ticket.key).is_slow(first_s):
            kind = "slow"
        if kind == "given_up" and not ticket.probe:
            return
        self._write(
            Found(
                ticket.key,
                kind,
                self._clock_s(),
                ticket.asked_at_s,
                ticket.by,
                first_s,
                retry_after_s,
                self._rng.random(),
            )
        )

    def changed(self, key: BreakerKey) -> None:
        """Settings are new: what was refused may be tried again."""
        now = self._clock_s()
        self._write(Found(key, "changed", now, now))

    def baseline_s(self, key: BreakerKey) -> float | None:
        """Return the usual time to the first token, None before it is known."""
        self._read()
        return self._breaker(key).baseline_s

    def states(self) -> dict[BreakerKey, State]:
        """Return every breaker that was ever asked."""
        self._read()
        return {key: self._state(key) for key in self._breakers}

    def _write(self, found: Found) -> None:
        self._journal.append(found)
        self._read()

    def _read(self) -> None:
        for found in self._journal.unread():
            self._breaker(found.key).take(found)
            if self.on_found is not None:
                self.on_found(found)
            self._state(found.key)

    def _breaker(self, key: BreakerKey) -> Breaker:
        return self._breakers.setdefault(key, Breaker(self._rules))

    def _state(self, key: BreakerKey) -> State:
        state, before = self._breaker(key).state(self._clock_s()), self._shown.get(key, "closed")
        self._shown[key] = state
        if state != before and self.on_switch is not None:
            self.on_switch(key, before, state)
        return state
