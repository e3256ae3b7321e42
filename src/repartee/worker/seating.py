"""A worker's part in the seats (`store.seats`): without waiting for a store that is away, and without its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import structlog

from repartee.errors import StoreError
from repartee.session import SessionSpec
from repartee.store import Held, Seats

log = structlog.get_logger()
ASK_S = 2.0
"""LiveKit drops a job for good when its answer takes 2.8 s."""
FIRST_EPOCH = 1
KEEP_S = 1.0
"""How often the store is told that a call lives, by the process that has it, or by the worker before one has."""
T = TypeVar("T")


class Seating:
    """What a worker says about its calls.

    Args:
        seats: Of all workers.
        worker_id: Who says it.

    Attributes:
        database_answers: Whether the store answered when it was asked last.
    """

    def __init__(self, seats: Seats, worker_id: str) -> None:
        self.seats = seats
        self.worker_id = worker_id
        self.database_answers = True

    async def announce(self, seats: int, *, draining: bool) -> None:
        """Say how many calls this worker takes."""
        await self._ask("announce", lambda: self.seats.announce(self.worker_id, seats, draining=draining))

    async def withdraw(self) -> None:
        """Say that this worker is gone."""
        await self._ask("withdraw", lambda: self.seats.withdraw(self.worker_id))

    async def take(self, spec: SessionSpec) -> int:
        """Take the seat of a call; returns its epoch.

        Where nobody can be asked it is that of a call nobody had before: the store hears of it when it is back.
        """
        return await self._ask("take", lambda: self.seats.take(held(spec))) or FIRST_EPOCH

    async def promised(self, old_s: float) -> list[str] | None:
        """Return rooms whose seats were promised so long ago and not taken; None where nobody can be asked."""
        return await self._ask("promised", lambda: self.seats.promised(old_s))

    async def take_promised(self, spec: SessionSpec) -> int | None:
        """Take a promised seat that nobody has taken; returns the epoch, None when somebody else has it."""
        return await self._ask("take_promised", lambda: self.seats.take_promised(held(spec)))

    async def take_over(self, old: Held, spec: SessionSpec) -> int | None:
        """Take a call from another agent; returns the epoch, None when somebody else has it."""
        return await self._ask("take_over", lambda: self.seats.take_over(old, held(spec)))

    async def give_back(self, room: str, epoch: int) -> None:
        """Free the seat of a call that is over."""
        await self._ask("give_back", lambda: self.seats.give_back(room, epoch))

    async def keep(self, spec: SessionSpec) -> None:
        """Keep the seat of a call that no process has yet, until cancelled or until it is another agent's."""
        lost: set[str] | None = None
        while not lost:
            await asyncio.sleep(KEEP_S)
            lost = await self._ask("keep", lambda: self.seats.keep([held(spec)]))
        log.warning("seats.lost", call_id=spec.call_id)  # the process that gets the call finds out by itself

    async def let_go(self, spec: SessionSpec, losses: int) -> None:
        """Leave a call that has lost so many agents in a row to whoever takes it over."""
        await self._ask("let_go", lambda: self.seats.let_go(replace(held(spec), losses=losses)))

    async def holds(self, spec: SessionSpec) -> bool | None:
        """Say whether nobody has taken a call over; None where nobody can be asked."""
        return await self._ask("holds", lambda: self.seats.holds(held(spec)))

    async def others(self) -> int:
        """Return how many other workers take calls."""
        return await self._ask("others", lambda: self.seats.others(self.worker_id)) or 0

    async def orphans(self, silent_s: float) -> list[Held] | None:
        """Return calls of which nothing was heard; None where nobody can be asked."""
        return await self._ask("orphans", lambda: self.seats.orphans(silent_s))

    async def _ask(self, what: str, work: Callable[[], T]) -> T | None:
        try:
            async with asyncio.timeout(ASK_S):
                answer = await asyncio.to_thread(work)
        except (StoreError, TimeoutError) as error:
            self.database_answers = False
            log.warning("seats.unknown", what=what, error=type(error).__name__)
            return None
        self.database_answers = True
        return answer


def held(spec: SessionSpec) -> Held:
    """Return what the store is told of a call."""
    return Held(spec.room, spec.call_id, spec.worker_id, spec.identity, spec.epoch, spec.losses)
