"""Calls that a worker takes from the dead: what counts against them, and whose they are meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from repartee.errors import StoreError
from repartee.settings import Settings
from repartee.store import Held, Store, TurnRow
from repartee.store import seats as seats_module
from repartee.worker import rooms
from repartee.worker import seating as seating_module
from repartee.worker.process import STEADY_S
from tests.worker.test_worker import Rig

SHORT_S = 20.0


def orphaned(rig: Rig, epoch: int, kept_s: float = 5.0, losses: int = 0) -> Held:
    """Return the call of a worker that died, whose agents before the last were lost soon so many times in a row."""
    agent = Held(
        "room", "call", "dead", "agent-1", rig.seats.take(Held("room", "call", "dead", "agent-1", 0))
    )
    while agent.epoch < epoch:
        successor = replace(agent, identity=f"agent-{agent.epoch + 1}", losses=losses)
        taken = rig.seats.take_over(agent, successor)
        assert taken is not None
        agent = replace(successor, epoch=taken)
    return replace(agent, silent_s=4.0, kept_s=kept_s)


@pytest.mark.parametrize(
    ("epoch", "kept_s", "losses", "given_up"),
    [
        (2, 5.0, 1, False),
        (3, 5.0, 2, True),
        (3, STEADY_S, 2, False),
        (3, 5.0, 0, False),
        (4, 0.0, 2, False),
    ],
    ids=[
        "the second was lost soon",
        "three were lost soon",
        "the third was not lost soon",
        "a young call that was handed over twice",
        "the last never got a process, or let go",
    ],
)
async def test_only_what_has_lost_three_agents_soon_is_given_up(
    plain_settings: Settings, epoch: int, kept_s: float, losses: int, given_up: bool
) -> None:
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        orphan = orphaned(rig, epoch, kept_s, losses)
        assert await rig.worker.adopt(orphan) is not given_up
        assert rig.livekit.deleted.empty() is not given_up
        assert [call.spec.epoch for call in rig.pool.live.values()] == ([] if given_up else [epoch + 1])
        assert rig.seats.seating().taken == rig.worker.calls == (not given_up)


@pytest.mark.parametrize(
    ("kept_s", "losses", "counted"),
    [(5.0, 0, 1), (5.0, 1, 2), (STEADY_S, 0, 0), (STEADY_S, 1, 0), (0.0, 1, 1)],
)
async def test_an_agent_that_was_lost_soon_counts_for_every_worker_after_it(
    plain_settings: Settings, kept_s: float, losses: int, counted: int
) -> None:
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        assert await rig.worker.adopt(orphaned(rig, 2, kept_s, losses))
        assert (await rig.pool.taken.get()).spec.losses == counted
        assert [held.losses for held in rig.seats.orphans(-1)] == [counted], "the next worker knows it too"


async def test_a_call_that_no_process_took_is_left_to_others_and_that_counts_against_nobody(
    plain_settings: Settings,
) -> None:
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        rig.pool.fail = True
        assert not await rig.worker.adopt(orphaned(rig, 1))
        [left] = rig.seats.orphans(3)
        assert (left.call_id, left.epoch) == ("call", 2)
        assert (left.kept_s, left.losses) == (0, 1), "the agent that died was lost soon"
        assert rig.livekit.deleted.empty()
        assert rig.worker.calls == 0
        rig.pool.fail = False
        assert await rig.worker.adopt(left)
        assert (await rig.pool.taken.get()).spec.losses == 1


async def test_what_a_worker_lost_itself_the_next_worker_knows(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        for lost in (1, 2):
            dead = await rig.call("AJ_1") if lost == 1 else next(iter(rig.pool.live.values()))
            dead.outcome = None
            rig.over(dead)
            await asyncio.wait_for(asyncio.gather(*rig.worker._tasks), SHORT_S)
            assert [held.losses for held in rig.seats.orphans(-1)] == [lost]


async def test_a_call_that_is_handed_over_has_lost_nobody(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        call.spec = replace(call.spec, losses=2)
        call.failure = "handed_over"
        rig.over(call)
        await asyncio.wait_for(asyncio.gather(*rig.worker._tasks), SHORT_S)
        [left] = rig.seats.orphans(3)
        assert (left.kept_s, left.losses) == (0, 2), "nor is what it had lost before forgotten"


async def test_a_dead_agent_s_call_that_no_process_took_is_left_to_others(plain_settings: Settings) -> None:
    async with Rig(plain_settings) as rig:
        dead = await rig.call("AJ_1")
        rig.pool.fail, dead.outcome = True, None
        rig.over(dead)
        await rig.livekit.job_status()
        await asyncio.wait_for(asyncio.gather(*rig.worker._tasks), SHORT_S)
        [left] = rig.seats.orphans(3)
        assert (left.call_id, left.epoch) == (dead.spec.call_id, 2)
        assert (left.kept_s, left.losses) == (0, 1)
        assert rig.livekit.deleted.empty()


async def test_a_call_that_is_being_taken_over_is_nobody_else_s_orphan(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        asked.set()
        await answer.wait()

    monkeypatch.setattr(seating_module, "KEEP_S", 0.01)
    monkeypatch.setattr(rooms, "put_out", slow)
    async with Rig(plain_settings) as rig:
        await rig.livekit.next("register")
        adopting = asyncio.create_task(rig.worker.adopt(orphaned(rig, 1)))
        await asyncio.wait_for(asked.wait(), SHORT_S)
        monkeypatch.setattr(seats_module, "database_now_s", lambda _: time.time() + 4)
        async with asyncio.timeout(SHORT_S):
            while rig.seats.orphans(3):  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)
        answer.set()
        assert await adopting


async def test_who_keeps_the_seat_of_a_call_that_another_agent_has_stops(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seating_module, "KEEP_S", 0.01)
    async with Rig(plain_settings) as rig:
        spec = (await rig.call("AJ_1")).spec
        rig.seats.take_over(seating_module.held(spec), Held(spec.room, spec.call_id, "another", "agent-2", 0))
        await asyncio.wait_for(rig.worker.seating.keep(spec), SHORT_S)


async def test_agents_that_know_nothing_of_a_call_write_none_of_its_turns_over(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[TurnRow]:
        raise StoreError("away")

    monkeypatch.setattr(Store, "turns", away)
    first_turn_ids = []
    async with Rig(plain_settings) as rig:
        call = await rig.call("AJ_1")
        await rig.pool.taken.get()
        for _ in range(2):
            call.told["caller"] = {"identity": "caller-1"}
            call.outcome = None
            rig.over(call)
            call = await asyncio.wait_for(rig.pool.taken.get(), SHORT_S)
            assert call.spec.resume is not None
            first_turn_ids.append(call.spec.resume.next_turn_id)
    assert first_turn_ids[1] - first_turn_ids[0] >= 1000
