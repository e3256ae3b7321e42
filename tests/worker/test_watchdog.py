"""Calls of workers that died: found in the store and in LiveKit, and taken over when nobody else has them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from repartee.store import Held
from repartee.worker import LiveKitAccess, watchdog
from repartee.worker.rooms import Present
from repartee.worker.watchdog import ALONE_S, GHOST_S, LOOKS_IN, MACHINE_S, WAITS_S, Watchdog

SHORT_S = 20.0
ORPHAN = Held("room", "call", "dead", "agent-1", 1, silent_s=4.0)


class Seating:
    def __init__(self, orphans: list[Held] | None) -> None:
        self.found = orphans
        self.freed: list[str] = []
        self.rooms: list[str] | None = []

    async def promised(self, old_s: float) -> list[str] | None:
        return self.rooms

    async def orphans(self, silent_s: float) -> list[Held] | None:
        return self.found

    async def give_back(self, room: str, epoch: int) -> None:
        self.freed.append(room)


class Worker:
    def __init__(self, *orphans: Held) -> None:
        self.seating: Any = Seating(list(orphans))
        self.mine: set[str] = set()
        self.adopted: list[Held] = []
        self.fetched: list[str] = []
        self.has_room = True

    def fetch(self, room: str) -> None:
        self.fetched.append(room)

    def has(self, call_id: str) -> bool:
        return call_id in self.mine

    async def adopt(self, orphan: Held) -> bool:
        self.adopted.append(orphan)
        return True


def people(*agents: str) -> Present:
    return Present(frozenset({"caller"}), frozenset(agents))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> dict[str, Present | None]:
    there: dict[str, Present | None] = {"room": people()}

    async def who_is_in(_: LiveKitAccess, name: str) -> Present | None:
        return there[name]

    monkeypatch.setattr(watchdog, "who_is_in", who_is_in)
    return there


def dog(worker: Worker) -> Watchdog:
    return Watchdog(worker, LiveKitAccess("ws://x", "k", "s"))


async def test_a_caller_who_was_left_alone_is_taken_over(room: Any) -> None:
    worker = Worker(ORPHAN)
    await dog(worker).look(0.0)
    assert worker.adopted == [ORPHAN]


@pytest.mark.parametrize(
    "present",
    [people("agent-2"), Present(frozenset(), frozenset()), None],
    ids=["another agent is there", "nobody is there", "LiveKit does not say"],
)
async def test_a_call_that_needs_nobody_is_left_alone(room: Any, present: Present | None) -> None:
    room["room"] = present
    worker = Worker(ORPHAN)
    await dog(worker).look(0.0)
    assert not worker.adopted
    assert not worker.seating.freed


async def test_one_s_own_call_is_left_alone(room: Any) -> None:
    worker = Worker(ORPHAN)
    worker.mine.add("call")
    await dog(worker).look(0.0)
    assert not worker.adopted


async def test_a_ghost_is_waited_for_and_a_store_that_was_away_is_no_proof(room: Any) -> None:
    room["room"] = people("agent-1")
    silent = Held("room", "call", "dead", "agent-1", 1, silent_s=GHOST_S + 1)
    worker = Worker(silent)
    watching = dog(worker)
    await watching.look(0.0)
    await watching.look(GHOST_S - 1)
    assert not worker.adopted, "the store answers since a moment only: everybody looks silent"
    worker.seating.found = None
    await watching.look(GHOST_S)
    worker.seating.found = [silent]
    await watching.look(GHOST_S + 1)
    assert not worker.adopted, "it was away again"
    await watching.look(2 * GHOST_S + 1)
    assert worker.adopted == [silent]


async def test_a_ghost_of_a_machine_that_is_gone_is_not_waited_for(room: Any) -> None:
    room["room"] = people("agent-1")
    gone = replace(ORPHAN, worker_silent_s=MACHINE_S)
    worker = Worker(replace(ORPHAN, worker_silent_s=MACHINE_S - 0.5))
    watching = dog(worker)
    await watching.look(0.0)
    await watching.look(MACHINE_S)
    assert not worker.adopted, "its worker was heard of a moment ago"
    worker.seating.found = [gone]
    await watching.look(MACHINE_S + 1)
    assert worker.adopted == [gone]
    worker = Worker(gone)
    await dog(worker).look(0.0)
    assert not worker.adopted, "the store answers since a moment only"


async def test_an_empty_room_frees_its_seat_in_the_end(room: Any) -> None:
    room["room"] = Present(frozenset(), frozenset())
    worker = Worker(Held("room", "call", "dead", "agent-1", 1, silent_s=ALONE_S))
    await dog(worker).look(0.0)
    assert worker.seating.freed == ["room"]


# --- callers to whom no agent was ever sent ----------------------------------------------------------------------


async def test_a_caller_to_whom_no_agent_was_sent_gets_one(room: Any) -> None:
    worker = Worker()
    worker.seating.rooms = ["room"]
    watching = dog(worker)
    await watching.look(0.0)
    await watching.look(WAITS_S - 1)
    assert not worker.fetched, "one may be on its way"
    await watching.look(WAITS_S)
    assert worker.fetched == ["room"]
    await watching.look(WAITS_S + 1)
    assert worker.fetched == ["room"], "once"


@pytest.mark.parametrize(
    "present",
    [people("agent-2"), Present(frozenset(), frozenset()), None],
    ids=["an agent has come", "the caller is gone", "LiveKit does not say"],
)
async def test_whoever_needs_none_gets_none(room: Any, present: Present | None) -> None:
    worker = Worker()
    worker.seating.rooms = ["room"]
    watching = dog(worker)
    await watching.look(0.0)
    room["room"] = present
    await watching.look(WAITS_S)
    room["room"] = people()
    await watching.look(WAITS_S + 1)
    assert not worker.fetched, "it is waited for anew"


async def test_a_worker_without_room_looks_for_nobody(room: Any) -> None:
    worker = Worker()
    worker.seating.rooms = ["room"]
    watching = dog(worker)
    await watching.look(0.0)
    worker.has_room = False
    await watching.look(WAITS_S)
    assert not worker.fetched
    worker.has_room, worker.seating.rooms = True, None
    await watching.look(WAITS_S + 1)
    assert not worker.fetched, "the store does not answer"


async def test_one_who_waits_is_found_among_many_who_have_not_come_yet(room: Any) -> None:
    worker = Worker()
    names = [f"empty-{n}" for n in range(10 * LOOKS_IN)]
    room.update(dict.fromkeys(names, Present(frozenset(), frozenset())))
    worker.seating.rooms = ["room", *names]
    watching, now_s = dog(worker), 0.0
    while not worker.fetched and now_s < 2000:
        await watching.look(now_s)
        now_s += 1.0
    assert worker.fetched == ["room"]


async def test_calls_of_a_machine_that_is_gone_are_looked_after_together_but_not_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, at_once = 3 * watchdog.AT_ONCE, 0
    most: list[int] = []
    barrier = asyncio.Barrier(watchdog.AT_ONCE)

    async def who_is_in(_: LiveKitAccess, name: str) -> Present:
        nonlocal at_once
        at_once += 1
        most.append(at_once)
        await asyncio.wait_for(barrier.wait(), SHORT_S)
        at_once -= 1
        return people()

    monkeypatch.setattr(watchdog, "who_is_in", who_is_in)
    worker = Worker(*(replace(ORPHAN, room=f"room-{n}", call_id=f"call-{n}") for n in range(calls)))
    await dog(worker).look(0.0)
    assert max(most) == watchdog.AT_ONCE
    assert {orphan.call_id for orphan in worker.adopted} == {f"call-{n}" for n in range(calls)}
