"""Finds calls whose worker died with a caller still in the room, and has its own worker go on with them.

And callers for whom no agent was ever sent: LiveKit drops a job for good, and tells nobody, when the worker it asks
dies, refuses or takes 2.8 s to answer, or when the machine has closed to new callers since they got their seat. They
have one, so they get an agent.

All it knows is in the store and in LiveKit, so a worker that has just been started finds them too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

import structlog

from repartee.store import Held
from repartee.worker.rooms import who_is_in
from repartee.worker.seating import Seating
from repartee.worker.tokens import LiveKitAccess

log = structlog.get_logger()
LOOK_S = 1.0
SILENT_S = 3.0
"""A call whose agent has not said for so long that it lives, and is not in the room, has none."""
GHOST_S = 8.0
"""One whose agent is in the room all the same: LiveKit shows the dead for 21 s. A store that was away looks the same,
so it must have been there for that long."""
MACHINE_S = 3.5
"""Unless its worker says nothing for so long either: the machine is gone or cut off, and its agent is a ghost."""
ALONE_S = 30.0
"""Nobody is in the room for this long: the seat is free."""
WAITS_S = 3.0
"""Whoever is in a room without an agent for so long has none on the way."""
PROMISED_S = 1.0
"""A seat that was promised so shortly ago is on its way to be taken."""
AT_ONCE = 4
"""So many rooms are asked about at the same time: all calls of a machine that is gone wait for it."""
LOOKS_IN = 4
"""Rooms with a promised seat that are looked into at a time: most are of callers who are still on their way."""


class Adopter(Protocol):
    """The worker, as far as the watchdog needs it."""

    seating: Seating

    def has(self, call_id: str) -> bool:
        """Say whether a call is here."""

    @property
    def has_room(self) -> bool:
        """Whether it has room for one of those who have a seat."""

    async def adopt(self, orphan: Held) -> bool:
        """Go on with a call."""

    def fetch(self, room: str) -> None:
        """Have the call of a caller begin for whom no agent was sent; does not wait for it."""


class Watchdog:
    """Looks after the calls of other workers.

    Args:
        worker: Goes on with what is found.
        access: The LiveKit server.
    """

    def __init__(self, worker: Adopter, access: LiveKitAccess) -> None:
        self._worker = worker
        self._access = access
        self._since_s: float | None = None
        """Since when the store answers."""
        self._waiting: dict[str, float] = {}
        """Rooms that somebody waits in, and since when that is known."""

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look(asyncio.get_running_loop().time())

    async def look(self, now_s: float) -> None:
        """Look once."""
        orphans = await self._worker.seating.orphans(SILENT_S)
        if orphans is None:
            self._since_s = None
            return
        self._since_s = now_s if self._since_s is None else self._since_s
        answering_s = now_s - self._since_s
        gone = [orphan for orphan in orphans if not self._worker.has(orphan.call_id)]
        await _together(partial(self._judge, orphan, answering_s) for orphan in gone)
        await self._look_for_waiting(now_s)

    async def _look_for_waiting(self, now_s: float) -> None:
        promised = await self._worker.seating.promised(PROMISED_S) if self._worker.has_room else None
        rooms = promised or []
        self._waiting = {room: since_s for room, since_s in self._waiting.items() if room in rooms}
        chosen = [*self._waiting, *random.sample(rooms, min(LOOKS_IN, len(rooms)))]
        await _together(partial(self._look_into, room, now_s) for room in dict.fromkeys(chosen))

    async def _look_into(self, room: str, now_s: float) -> None:
        present = await who_is_in(self._access, room)
        if present is None or not present.people or present.agents:
            self._waiting.pop(room, None)
        elif now_s - self._waiting.setdefault(room, now_s) >= WAITS_S and self._worker.has_room:
            del self._waiting[room]
            self._worker.fetch(room)

    async def _judge(self, orphan: Held, answering_s: float) -> None:
        present = await who_is_in(self._access, orphan.room)
        if present is None:
            return
        if not present.people:
            if orphan.silent_s >= ALONE_S:
                await self._worker.seating.give_back(orphan.room, orphan.epoch)
            return
        haunted = orphan.identity in present.agents
        machine_gone = min(orphan.worker_silent_s, answering_s) >= MACHINE_S
        if haunted and not machine_gone and min(orphan.silent_s, answering_s) < GHOST_S:
            return
        if present.agents - {orphan.identity}:
            return  # somebody else has it already
        await self._worker.adopt(orphan)


async def _together(looks: Iterable[Callable[[], Awaitable[None]]]) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(look: Callable[[], Awaitable[None]]) -> None:
        async with limit:
            try:
                await look()
            except Exception:  # one call must not leave all others without a watchdog
                log.exception("watchdog.failed")

    async with asyncio.TaskGroup() as group:
        for look in looks:
            group.create_task(one(look))
