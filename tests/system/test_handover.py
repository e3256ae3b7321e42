"""Agents that die in the middle of a call: another one goes on, in the same room, with what was said."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from repartee.settings import Settings
from repartee.simulator.caller import Caller
from repartee.simulator.loads import busiest_session
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.system.fleet import MODELS, fleet, logged
from tests.system.helpers import calling, eventually, place, processes_with, server, write_agent

PROFILE = "fixed:60/60/60"
QUESTION = "aiewf/turn_001.flac"
MUST_S = 6.0


async def interrupted_by_a_kill(caller: Caller, recording: Path, kill: Any) -> float:
    """Ask something, kill the agent in the middle of its answer, return how long it took until another was heard."""
    from repartee.simulator.audio import read_audio

    await caller.say(read_audio(recording, 48_000))
    assert await caller.wait_for_sound(10), "it answers"
    await asyncio.sleep(1.5)  # some words of the answer
    await asyncio.to_thread(kill)
    killed_s = time.monotonic()
    # What was on its way is still heard; the dead are silent then.
    await caller.wait_for_quiet(0.3, 3)
    assert await caller.wait_for_sound(MUST_S + 20), "somebody goes on"
    return time.monotonic() - killed_s


@pytest.mark.long
async def test_a_killed_session_process_costs_a_second_and_not_the_call(speech: Path, tmp_path: Path) -> None:
    agent = write_agent(tmp_path, MODELS)
    config = SimulatorConfig(profile=PROFILE, speech=speech)
    async with Simulator.start(config) as simulator, server(agent, tmp_path, simulator) as running:
        async with calling(running.url) as caller:

            def kill() -> None:
                victim = busiest_session(running.process.pid)
                assert victim is not None
                os.kill(victim, signal.SIGKILL)

            waited_s = await interrupted_by_a_kill(caller, speech / QUESTION, kill)
            assert waited_s < MUST_S
            await caller.wait_for_quiet(0.9, 30)
            said = caller.captions("agent")
            exchange = await caller.exchange(speech / QUESTION)
        assert any("we were cut off for a moment" in text for text in said)
        assert "are there any workshops about gemini" in exchange.reply, "and the conversation goes on"
        [handed] = logged(running.output, "call.handed_over")
        assert handed["exit_code"] == -signal.SIGKILL
        await eventually(lambda: logged(running.output, "call.ended"))
        [ended] = logged(running.output, "call.ended")
        assert (ended["outcome"], ended["detail"]) == ("ended", "caller_left")


@pytest.mark.timeout(170)
@pytest.mark.long
async def test_a_worker_that_is_gone_leaves_its_calls_to_the_other(
    speech: Path, tmp_path: Path, plain_settings: Settings
) -> None:
    async with (
        Simulator.start(SimulatorConfig(profile=PROFILE, speech=speech)) as simulator,
        fleet(tmp_path, plain_settings, simulator) as running,
    ):
        async with calling(running.url) as caller:
            [dead] = [worker.pid for worker in running.workers if worker.logged("call.started")]
            [other] = [worker for worker in running.workers if worker.pid != dead]

            def kill() -> None:
                for process in [*psutil.Process(dead).children(recursive=True), psutil.Process(dead)]:
                    process.kill()

            waited_s = await interrupted_by_a_kill(caller, speech / QUESTION, kill)
            await caller.wait_for_quiet(0.9, 30)
            assert any("we were cut off for a moment" in text for text in caller.captions("agent"))
            exchange = await caller.exchange(speech / QUESTION)
        assert waited_s < 20, "the dead are in the room for 21 s, and not waited for"
        assert "are there any workshops about gemini" in exchange.reply
        assert len(other.logged("call.adopted")) == 1
    await eventually(lambda: not processes_with(str(tmp_path / "split")))


async def test_a_caller_to_whom_livekit_sends_no_agent_gets_one(tmp_path: Path) -> None:
    """LiveKit drops a job for good when the worker takes 2.8 s to answer, and tells nobody."""
    async with server(write_agent(tmp_path), tmp_path) as running:
        invitation, caller = await place(running.url), Caller(running.url)
        try:
            os.kill(running.process.pid, signal.SIGSTOP)
            try:
                await caller.join(invitation)
                await asyncio.sleep(3.5)
            finally:
                os.kill(running.process.pid, signal.SIGCONT)
            assert await caller.wait_for_answer(20), "somebody comes all the same"
        finally:
            await caller.leave()
        assert len(logged(running.output, "call.fetched")) == len(logged(running.output, "call.started")) == 1
