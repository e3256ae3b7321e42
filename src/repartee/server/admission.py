"""Whether another call may begin: asked before a token is given out. Is there money, and is there a seat?

The day's spending is read from the store on a thread, one reading at a time, and kept for some seconds; while it is
read anew, the last one answers. A store that is away refuses nobody: a line that is down costs more than a call.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import structlog

from repartee.agent.budget import Budget
from repartee.errors import ReparteeError, StoreError
from repartee.session.budget import ReadToday, Today
from repartee.store import Seats

log = structlog.get_logger()
FRESH_S = 5.0
LEASE_S = 30.0
"""A seat is promised for so long; the agent, who is sent for at once, takes it."""
SEAT_S = 2.0
RETRY_S = (5.0, 15.0)
"""Who finds no seat may come again after a time drawn from these: all at the same time would find none again."""
FIRST_S = 0.5
"""The first call of all waits so long for the first reading."""
READ_S = 5.0


@dataclass(frozen=True, slots=True)
class DayLimits:
    """USD in a day, for one agent and for the whole installation; None where there is no limit."""

    agent: Decimal | None = None
    installation: Decimal | None = None


def day_limits(budget: Budget, installation: Decimal | None) -> DayLimits:
    """Return the limits of an agent's file and of the installation's setting.

    An agent whose calls may not be ended for money refuses none for it; the installation's limit always holds.
    """
    return DayLimits(budget.day_usd if "end" in budget.actions else None, installation)


@dataclass(frozen=True, slots=True)
class Refusal:
    """No call now.

    Attributes:
        limit: Which budget is spent, or that there is no seat.
        retry_after_s: When it is worth while to ask again; with a budget that is midnight, UTC.
    """

    limit: Literal["day", "installation", "seats"]
    retry_after_s: int

    @property
    def error(self) -> str:
        """The kind, for programs."""
        return "capacity" if self.limit == "seats" else "budget_spent"

    @property
    def message(self) -> str:
        """What a client may be told: no amounts."""
        if self.limit == "seats":
            return f"all lines are busy at the moment; please try again in {self.retry_after_s} seconds"
        whose = "this agent" if self.limit == "day" else "this server"
        return f"{whose} has spent its budget for today; calls are taken again from 00:00 UTC"


class Admission:
    """Refuses calls when the day's money is spent, or all seats are taken.

    Args:
        limits: In USD.
        read_today: Reads the store; may wait.
        seats: Of all workers; None asks for none.
        clock_s: Monotonic.
        now: The time of day, with a time zone.
    """

    def __init__(
        self,
        limits: DayLimits,
        read_today: ReadToday,
        seats: Seats | None = None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits
        self._read_today = read_today
        self._seats = seats
        self._clock_s = clock_s
        self._now = now
        self._today = Today()
        self._day: date | None = None
        self._read_at_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def refusal(self) -> Refusal | None:
        """Return why no call may begin, None when one may."""
        if self._limits == DayLimits():
            return None
        if self._reading is None and self._clock_s() - self._read_at_s >= FRESH_S:
            self._reading = asyncio.create_task(self._read(), name="admission")
        if self._day is None and self._reading is not None:
            await asyncio.wait({self._reading}, timeout=FIRST_S)
        now = self._now().astimezone(UTC)
        if self._day != now.date():
            return None  # what is known is yesterday's
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        wait_s = int((midnight - now).total_seconds()) + 1
        if self._limits.installation is not None and self._today.everybody >= self._limits.installation:
            return Refusal("installation", wait_s)
        if self._limits.agent is not None and self._today.agent >= self._limits.agent:
            return Refusal("day", wait_s)
        return None

    def spent_ratio(self) -> float:
        """Return what share of the tighter budget of today is spent; 0 where nothing is known of today."""
        if self._day != self._now().astimezone(UTC).date():
            return 0.0
        limits = (
            (self._today.agent, self._limits.agent),
            (self._today.everybody, self._limits.installation),
        )
        return max((float(spent / limit) for spent, limit in limits if limit), default=0.0)

    async def seat(self, room: str) -> Refusal | None:
        """Promise a seat to whoever is about to join a room; return why there is none.

        With a store that is away nothing is known of seats: the call may begin, and the worker takes it if it can.
        """
        if self._seats is None:
            return None
        seats = self._seats
        try:
            async with asyncio.timeout(SEAT_S):
                full = await asyncio.to_thread(seats.promise, room, LEASE_S)
        except (StoreError, TimeoutError) as error:
            log.warning("admission.seats_unknown", error=type(error).__name__)
            return None
        if full is None:
            return None
        log.warning("admission.full", seats=full.seats, taken=full.taken)
        return Refusal("seats", round(random.uniform(*RETRY_S)))  # noqa: S311 - jitter

    async def goes_on(self, room: str) -> bool | None:
        """Say whether a room's call goes on, or is on its way to another agent; None where nobody knows."""
        if self._seats is None:
            return None
        try:
            async with asyncio.timeout(SEAT_S):
                return await asyncio.to_thread(self._seats.goes_on, room)
        except (StoreError, TimeoutError) as error:
            log.warning("admission.seats_unknown", error=type(error).__name__)
            return None

    async def free(self, room: str) -> None:
        """Take a promise back: the call will not begin."""
        if self._seats is not None:
            try:
                await asyncio.to_thread(self._seats.give_back, room)
            except StoreError as error:
                log.warning("admission.seats_unknown", error=type(error).__name__)

    async def _read(self) -> None:
        day = self._now().astimezone(UTC).date()
        try:
            async with asyncio.timeout(READ_S):
                self._today = await asyncio.to_thread(self._read_today)
            self._day = day
        except (ReparteeError, OSError, TimeoutError) as error:
            log.warning("admission.spending_unknown", error=type(error).__name__)
        finally:
            self._read_at_s = self._clock_s()
            self._reading = None

    async def aclose(self) -> None:
        """Stop reading."""
        if (reading := self._reading) is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
