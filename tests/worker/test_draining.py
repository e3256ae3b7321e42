"""A worker that drains ends when nothing is left, also where what was left never became a call."""

from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import agent as proto
from livekit.protocol import models

from repartee.errors import CapacityError
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.worker import worker as worker_module
from tests.worker.test_worker import Call, Rig

SHORT_S = 20.0
JOB = proto.Job(id="AJ_1", room=models.Room(name="room"))


async def promised(rig: Rig) -> None:
    await rig.livekit.next("register")
    await rig.livekit.send(availability=proto.AvailabilityRequest(job=JOB))
    assert (await rig.livekit.next("availability")).available


async def test_a_job_that_was_promised_and_goes_to_another_holds_nobody_up(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "ASSIGNED_S", 0.3)
    async with Rig(plain_settings.model_copy(update={"drain_s": 60.0})) as rig:
        await promised(rig)
        await asyncio.wait_for(rig.worker._drain(rig.stop), SHORT_S)
        assert rig.worker.calls == 0


async def test_a_call_that_cannot_start_holds_nobody_up(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(worker_module, "ASSIGNED_S", 3600.0)

    async def fail(_: SessionSpec) -> Call:
        asked.set()
        await answer.wait()
        raise CapacityError("no process", retry_after_s=1)

    async with Rig(plain_settings.model_copy(update={"drain_s": 60.0})) as rig:
        monkeypatch.setattr(rig.pool, "take", fail)
        await promised(rig)
        await rig.livekit.send(assignment=proto.JobAssignment(job=JOB))
        await asyncio.wait_for(asked.wait(), SHORT_S)
        draining = asyncio.create_task(rig.worker._drain(rig.stop))
        await asyncio.sleep(0)  # it waits now
        assert rig.worker.calls == 1
        answer.set()
        await asyncio.wait_for(draining, SHORT_S)
        assert await rig.livekit.job_status() == ("AJ_1", proto.JS_FAILED, "no process")
